package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/configs"
)

// Whoever may read secrets, or change what we run, is a reason for a warning; a reference to the environment is not a secret.
func TestExposed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "site.yaml")
	for _, tt := range []struct {
		body string
		mode os.FileMode
		want string // "": no warning
	}{
		{"cameras: [{name: a, uri: clip.mp4}]", 0o644, ""},
		{"cameras: [{name: a, uri: 'rtsp://u:secret@h/x'}]", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'rtsp://u:secret@h/x'}]", 0o640, ""},
		{"cameras: [{name: a, uri: 'rtsp://u:${PW}@h/x'}]", 0o644, ""},
		{"cameras: [{name: a, uri: 'rtsp://u:pre${PW}@h/x'}]", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'rtsp://h/x', user: u, password: secret}]", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'rtsp://h/x', user: u, password: '${PW}'}]", 0o644, ""},
		{"cameras: [{name: a, uri: 'http://h/x?user=u&pwd=secret'}]", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'gst:rtspsrc location=rtsp://h/x user-pw=secret ! appsink'}]", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'gst:rtspsrc location=rtsp://u:secret@h/x ! appsink'}]", 0o644, "may read"},
		{"cameras: [{name: a, ffmpeg_options: 'http_proxy;http://u:secret@h'}]", 0o644, "may read"},
		{"publish: {url: 'nats://a:4222,nats://u:secret@h:4222'}", 0o644, "may read"},
		{"publish: {token: secret}", 0o644, "may read"},
		{"publish: {user: u, password: secret}", 0o604, "may read"},
		{"preview: {token: secret}", 0o644, "may read"},
		{"preview: {token: '${T}', origins: ['https://h']}", 0o644, ""},
		{"x-common: &c {password: secret}", 0o644, "may read"},
		{"cameras: [{name: a, uri: 'gst:videotestsrc ! appsink'}]", 0o644, ""},
		{"cameras: [{name: a, uri: 'gst:videotestsrc ! appsink'}]", 0o666, "may change"},
		{"cameras: [{name: a, uri: 'rtsp://u:secret@h/x'}]", 0o642, "may change"},
		{"cameras: [{name: a, uri: clip.mp4}]", 0o666, "may change"},
		{"publish: {token: secret", 0o644, ""}, // a fault, which others report
	} {
		if err := errors.Join(os.WriteFile(path, []byte(tt.body), 0o600), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		got := configs.Exposed(path)
		if len(got) > 1 || (len(got) == 1) != (tt.want != "") || tt.want != "" && !strings.Contains(got[0], tt.want) ||
			strings.Contains(strings.Join(got, ""), "secret@") {
			t.Errorf("%s with %v: %q, want %q", tt.body, tt.mode, got, tt.want)
		}
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if got := configs.Exposed(path); len(got) != 1 || !strings.Contains(got[0], "may replace") {
		t.Errorf("in a folder that is open to all: %q", got)
	}
	for _, none := range []string{"", dir, filepath.Join(dir, "none.yaml")} {
		if got := configs.Exposed(none); got != nil {
			t.Errorf("Exposed(%q) = %q", none, got)
		}
	}
}
