package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// A network of features gets classes from labelled pictures, in the same command as its denoiser or alone; what needs classes
// then works.
func TestFitHead(t *testing.T) {
	network, features := tinyNetwork(t)
	dir := t.TempDir()
	encoder, classified, fitted := filepath.Join(dir, "encoder"), filepath.Join(dir, "classified"), filepath.Join(dir, "fitted")
	set, normal, names := filepath.Join(dir, "set"), filepath.Join(dir, "normal"), filepath.Join(dir, "names")
	picturesOf(t, set, 12, true)
	picturesOf(t, normal, 12, false)
	if err := os.WriteFile(names, []byte("ground\nsquare\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "models", "import", "onnx", network, "--features", features, "--logits", "none", "--out", encoder, "--size", "128x96")
	var got struct {
		Out  string
		Head struct {
			Classes []string
			Frames  int
			Checked int
			MeanIoU float64 `json:"mean_iou"`
		}
	}
	out := must(t, "fit", "--head", set, "--head-check", set, "--classes", names, "--bundle", encoder, "--out", classified, "--name", "mine", "--json", "-")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if h := got.Head; got.Out != "" || strings.Join(h.Classes, ",") != "ground,square" || h.Frames != 12 || h.Checked != 12 || !(h.MeanIoU > 0.4) {
		t.Errorf("fit --head wrote %s", out)
	}
	b, err := models.Open(classified)
	if err != nil {
		t.Fatal(err)
	}
	if !b.EncoderOnly() || b.Manifest.Name != "mine" || len(b.Manifest.Encoder.Classes) != 2 {
		t.Errorf("manifest %+v", b.Manifest)
	}
	if out := must(t, "models", "verify", classified); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	out = must(t, "fit", "--head", set, "--bundle", encoder, "--source", filepath.Join(normal, "images"), "--out", fitted, "--name", "both",
		"--steps", "20", "--batch", "64", "--width", "16", "--whiten", "--drop-components", "2")
	if !strings.Contains(out, "2 classes from ") || !strings.Contains(out, ", threshold ") {
		t.Errorf("fit --head --source wrote %q", out)
	}
	rows := evalRows(t, must(t, "eval", "--dataset", "folder", "--root", set, "--bundle", fitted, "--method", "dood,lse,cdnp",
		"--timesteps", "1", "--reference", filepath.Join(normal, "images"), "--json", "-"))
	if len(rows) != 3 {
		t.Errorf("rows %+v", rows)
	}
	// The classes of a complete bundle are new: it keeps its denoiser, and says what is missing.
	must(t, "fit", "--head", set, "--bundle", fitted, "--out", classified)
	code, _, stderr := oodcast(t, "score", filepath.Join(set, "images", "a.png"), "--bundle", classified, "--out", filepath.Join(dir, "none"))
	if code == exitDone || !strings.Contains(stderr, "not calibrated: run oodcast fit --calibrate-only") {
		t.Errorf("score: exit %d, %q", code, stderr)
	}
	must(t, "fit", "--calibrate-only", "--bundle", classified, "--source", filepath.Join(normal, "images"), "--out", classified)
	must(t, "score", filepath.Join(set, "images", "a.png"), "--bundle", classified, "--out", filepath.Join(dir, "scores"))
}

func TestFitHeadRefuses(t *testing.T) {
	set := filepath.Join(t.TempDir(), "set")
	picturesOf(t, set, 2, true)
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"nothing", "missing flags: --source=URI", nil},
		{"no head", "describe the classifier of --head, which is missing", []string{"--classes", "a,b", "--source", set}},
		{"calibrate", "missing flags: --source=URI", []string{"--head", set, "--calibrate-only"}},
		{"no labels", "no labelled image found", []string{"--head", t.TempDir()}},
		{"one name", "--classes: got one name", []string{"--head", set, "--classes", "road"}},
		{"empty name", `--classes: got " " as name 2`, []string{"--head", set, "--classes", "road, ,tree"}},
		{"no check", "data set folder: stat missing", []string{"--head", set, "--head-check", "missing"}},
	} {
		args := append([]string{"fit", "--bundle", models.Embedded, "--out", filepath.Join(t.TempDir(), "out")}, tt.args...)
		code, _, stderr := oodcast(t, args...)
		if code != exitUsage || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q; want %q", tt.name, code, stderr, tt.want)
		}
	}
}
