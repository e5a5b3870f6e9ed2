package publish

import "testing"

// Clients of the embedded server get a share of the descriptors: with the systemd unit's limit a quarter of the page's reserve
// remains whatever they do.
func TestMaxConnections(t *testing.T) {
	for files, want := range map[uint64]int{0: 16, 64: 16, 256: 32, 1024: 128, 4096: 512, 1 << 20: 1024, ^uint64(0): 1024} {
		if got := maxConnections(files); got != want {
			t.Errorf("maxConnections(%d) = %d, want %d", files, got, want)
		}
	}
}
