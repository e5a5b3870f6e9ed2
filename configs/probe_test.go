package configs_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/configs"
)

// Findings distinguish what the service waits for from what keeps it from starting, and contain no passwords.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "clip.mp4")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := configs.Parse(fmt.Appendf(nil, `
preview: {listen: %q}
publish: {url: "nats://user:hunter2@%s, nats://user:hunter2@%[1]s", state_dir: %[3]q}
archive: {dir: %[4]q}
cameras:
- {name: file, uri: %[5]q}
- {name: missing, uri: %[6]q}
- {name: silent, uri: "rtsp://operator:hunter2@%[2]s/live"}
- {name: answers, uri: "http://operator:hunter2@%[1]s/live.mjpg"}
- {name: usb, uri: "camera:0"}
`, taken.Addr(), closed.Addr(), filepath.Join(dir, "state", "below"), filepath.Join(file, "evidence"), file,
		filepath.Join(dir, "none.mp4")))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]configs.Verdict{
		"camera file": configs.OK, "camera missing": configs.Missing, "camera silent": configs.Note,
		"camera answers": configs.OK, "camera usb": configs.OK, "page": configs.Note, "nats": configs.OK,
		"publish.state_dir": configs.OK, "archive.dir": configs.Missing,
	}
	list := c.Probe()
	if len(list) != len(want) {
		t.Errorf("%d findings, want %d: %+v", len(list), len(want), list)
	}
	for _, f := range list {
		if f.Verdict != want[f.What] {
			t.Errorf("%s: %s (%s), want %s", f.What, f.Verdict, f.Detail, want[f.What])
		}
		if strings.Contains(f.Detail, "hunter2") {
			t.Errorf("%s: the detail contains the password: %s", f.What, f.Detail)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, error %v: Probe left files behind", left, err)
	}
}
