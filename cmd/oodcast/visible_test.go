package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/schema"
)

// attack sets the title, clears the screen, writes the clipboard, forges a line, and writes from right to left.
const attack = "\x1b]0;owned\a\x1b[2J\x1b]52;c;b3du\a\u009b31m\r\nforged line\x7f\u202e"

// harmless reports the first character in s that acts on a terminal, except the ends of lines.
func harmless(s string) error {
	for _, r := range strings.ReplaceAll(s, "\n", "") {
		if hidden(r) || r == utf8.RuneError {
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

// The live view and the lines of watch show what comes from the bus without its control characters.
func TestWatchIsHarmless(t *testing.T) {
	w := &watcher{url: func() string { return "nats://h" + attack }, eventLines: make(chan string, 9)}
	w.state.cameras = map[string]*watchedCamera{}
	w.status(schema.Status{Camera: "cam" + attack, State: "down" + attack, Reason: "because" + attack, Time: time.Now()})
	w.score(schema.Score{Camera: "other" + attack})
	w.event(schema.Event{Camera: "cam" + attack, Type: "start" + attack, ID: "id" + attack})
	w.setNote("note" + attack)
	v := newWatchView(w)
	v.height = 60
	for what, s := range map[string]string{"view": v.View(), "summary": w.summary(time.Now()), "event": <-w.eventLines} {
		if err := harmless(s); err != nil { // without a terminal, the view has no colours
			t.Errorf("%s: %v", what, err)
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

func TestVisibleWriter(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain ä€日 \t|T|\n", "plain ä€日 \t|T|\n"},
		{"a\x1b[2Jb", `a\u001b[2Jb`},
		{"a\u009bb\x7f\x00", `a\u009bb\u007f\u0000`},
		{"one\r\ntwo\rover\n", "one\r\ntwo" + `\u000d` + "over\n"},
		{"\u202eabc", `\u202eabc`},
		{"bad \x9b byte", "bad \ufffd byte"},
	} {
		var whole, pieces bytes.Buffer
		if _, err := io.WriteString(newVisible(&whole), tt.in); err != nil || whole.String() != tt.want {
			t.Errorf("%q becomes %q, %v, want %q", tt.in, whole.String(), err, tt.want)
		}
		w := newVisible(&pieces)
		for i := range len(tt.in) {
			if n, err := w.Write([]byte{tt.in[i]}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if pieces.String() != tt.want {
			t.Errorf("%q, byte by byte, becomes %q, want %q", tt.in, pieces.String(), tt.want)
		}
	}
}
