package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

// A film in which the lens is covered after six seconds, for four: the run tells so, in its lines and on the console, and
// nothing else while it lasts. With other categories chosen, it does not.
func TestRunTellsThatTheLensIsCovered(t *testing.T) {
	dir := t.TempDir()
	film := filepath.Join(dir, "covered.mp4")
	out, err := exec.Command("ffmpeg", "-loglevel", "error", "-t", "12", "-i", demoClip(t), "-vf",
		"scale=384:288,boxblur=60:2:enable='between(t,6,10)',eq=brightness=-0.2:contrast=0.4:enable='between(t,6,10)'", film).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	for categories, want := range map[string][]string{
		"[covered, moved, defocused]": {"start covered", "end covered"},
		"[moved, defocused]":          nil,
	} {
		t.Run(categories, func(t *testing.T) {
			t.Parallel()
			lines := filepath.Join(t.TempDir(), "events.jsonl")
			config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "off"}
preview: {listen: "off"}
bundle: roadscene-s
detector: {timesteps: 1, width: 192, height: 96}
events: {categories: %s}
outputs: {jsonl: %q}
cameras: [{name: yard, uri: %q, realtime: true}]
`, categories, lines, film))
			console := must(t, "run", "--config", config, "--exit-on-end")
			raw, err := os.ReadFile(lines)
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			for line := range strings.Lines(string(raw)) {
				var e schema.Event
				if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type == "" || e.Type == "update" {
					continue
				}
				told = append(told, e.Type+" "+e.Category)
			}
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q\n%s", told, want, console)
			}
			if has := strings.Contains(console, "event start  covered"); has != (want != nil) {
				t.Errorf("console:\n%s", console)
			}
		})
	}
}
