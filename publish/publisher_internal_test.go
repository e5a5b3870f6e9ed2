package publish

import (
	"testing"

	"github.com/oodcast/oodcast/detector"
)

// If the queued maps exceed mapBytes, the oldest one is dropped.
func TestMapsOverflowDropsTheOldest(t *testing.T) {
	cfg := DefaultConfig()
	cfg.URL = "nats://127.0.0.1:1" // Run is never called: nothing leaves the queue
	p, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	const maps = 5
	for seq := range uint64(maps) {
		p.Map(&detector.Map{Camera: "front", Seq: seq, Values: make([]float32, mapBytes/4/2)})
	}
	var kept []uint64
	for m, ok := p.maps.TryGet(); ok; m, ok = p.maps.TryGet() {
		kept = append(kept, m.Seq)
	}
	if len(kept) != 2 || kept[0] != maps-2 || kept[1] != maps-1 {
		t.Errorf("maps %v are queued, want the newest two of %d", kept, maps)
	}
}
