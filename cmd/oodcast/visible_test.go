package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/schema"
)

// attack sets the title, clears the screen, writes the clipboard, forges a line, and writes from right to left.
const attack = "\x1b]0;owned\a\x1b[2J\x1b]52;c;b3du\a\u009b31m\r\nforged line\x7f\u202e"

// harmless reports the first character in s that acts on a terminal, except the ends of lines.
func harmless(s string) error {
	for _, r := range strings.ReplaceAll(s, "\n", "") {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError {
			return fmt.Errorf("the output contains %U: %q", r, s)
		}
	}
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "forged") {
			return fmt.Errorf("the output contains a forged line: %q", s)
		}
	}
	return nil
}

// What a camera, the bus, a file name or a bundle contains never acts on the terminal, and forges no line.
func TestOutputIsHarmless(t *testing.T) {
	name := strings.ReplaceAll(attack, "/", "")
	dir := filepath.Join(t.TempDir(), "d"+name)
	evil := filepath.Join(dir, "clip"+name+".mp4")
	write(t, evil, "no video")
	bundles := filepath.Join(dir, "bundles")
	write(t, filepath.Join(bundles, "b"+name, models.ManifestFile), "format: oodcast.bundle.v1\nname: \"x\\e[2J\"\n")
	picture := filepath.Join(dir, "images", "a.png")
	picturesOf(t, dir, 1, false)
	if err := os.Rename(picture, filepath.Join(dir, "p"+name+".png")); err != nil {
		t.Fatal(err)
	}
	site := write(t, filepath.Join(dir, "site.yaml"), fmt.Sprintf("publish: {url: \"off\"}\npreview: {listen: \"off\"}\ncameras:\n- {name: a, uri: %q}\n", evil))
	quiet := []string{"--http", "127.0.0.1:0", "--nats", "off"}
	for _, args := range [][]string{
		append([]string{"run", "--source", evil, "--exit-on-end"}, quiet...),
		append([]string{"--log-format", "json", "run", "--source", evil, "--exit-on-end"}, quiet...),
		append([]string{"run", "--source", "rtsp://127.0.0.1:1/" + name}, quiet...),
		append([]string{"run", "--source", "rtsp://127.0.0.1:1/" + name, "--bundle", attack}, quiet...),
		{"doctor", "--config", site},
		{"models", "list", bundles},
		{"models", "show", bundles + "/b" + name},
		{"models", "verify", bundles + "/b" + name},
		{"score", "--out", filepath.Join(dir, "out"), filepath.Join(dir, "p"+name+".png")},
		{"score", "--out", filepath.Join(dir, "out"), evil},
		{"config", "check", filepath.Join(dir, "none"+name+".yaml")},
		{"config", "check", write(t, filepath.Join(dir, "bad.yaml"), "detector: {\"x\\e[2J\": 1}\nbundle: [\"\\e[2J\"]\n")},
		{attack},
		{"run", "--" + attack},
		{"score", "--part", attack, "--out", "x", "y"},
		{"watch", "--nats", "nats://127.0.0.1:1/" + attack},
		{"watch", "--site", attack},
	} {
		code, stdout, stderr := oodcast(t, args...)
		if err := harmless(stdout + stderr); err != nil {
			t.Errorf("%q, exit code %d: %v", args, code, err)
		}
	}
}

// The real program shows an event that someone else has published on a server that is open to them.
func TestWatchShowsAHostileEvent(t *testing.T) {
	nc := broker(t)
	start(t, "run", "--source", demoClip(t), "--nats", nc.ConnectedUrl(), "--http", "off", "--timesteps", "1")
	w := start(t, "watch", "--nats", nc.ConnectedUrl())
	w.find(t, "camera     live")
	event, err := json.Marshal(schema.Event{Camera: "camera" + attack, Type: "start", ID: "mark" + attack})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("oodcast.v1.default.camera.event.start", event); err != nil {
		t.Fatal(err)
	}
	w.find(t, "mark")
	w.stop(t, syscall.SIGTERM)
	if err := harmless(strings.Join(w.lines, "\n")); err != nil {
		t.Error(err)
	}
}
