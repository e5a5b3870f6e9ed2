package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/configs"
)

// The configuration has one fault of each kind, and a camera with a password.
func TestDoctorChecksAConfiguration(t *testing.T) {
	dir := t.TempDir()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a-file")
	site := filepath.Join(dir, "site.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(site, []byte(`
preview: {listen: "off"}
publish: {url: "nats://user:hunter2@`+nobody+`", state_dir: `+dir+`/state}
archive: {dir: `+file+`/evidence}
cameras:
- {name: here, uri: `+file+`}
- {name: gone, uri: `+dir+`/none.mp4}
- {name: away, uri: "rtsp://operator:hunter2@`+nobody+`/live", bundle: nosuch}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	if code := run(context.Background(), []string{"doctor", "--config", site, "--json", "-"}, &stdout, &stderr); code != exitNotInstalled {
		t.Errorf("exit code %d, want %d: %s", code, exitNotInstalled, stderr.String())
	}
	if strings.Contains(stdout.String()+stderr.String(), "hunter2") {
		t.Errorf("the output contains a password: %s", stdout.String())
	}
	var list []configs.Finding
	if err := json.Unmarshal([]byte(stdout.String()), &list); err != nil {
		t.Fatalf("%v in %s", err, stdout.String())
	}
	got := map[string]configs.Verdict{}
	for _, f := range list {
		got[f.What] = f.Verdict
	}
	for what, want := range map[string]configs.Verdict{
		"camera here": "ok", "camera gone": "missing", "camera away": "note", "bundle nosuch": "missing",
		"nats": "note", "publish.state_dir": "ok", "archive.dir": "missing", "page": "",
	} {
		if got[what] != want {
			t.Errorf("%s: %q, want %q", what, got[what], want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "state")); err == nil {
		t.Error("doctor created the state folder")
	}
}
