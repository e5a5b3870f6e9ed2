package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// tinyNetwork writes a segmentation network as users export them, and returns its path and the name of its features.
func tinyNetwork(t *testing.T) (path, features string) {
	t.Helper()
	g := graph.New(graph.Float32)
	weights := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%7-3) / 50
		}
		return v
	}
	x := g.Input("pixels", graph.Float32, 1, 3, -1, -1)
	f := g.Conv(x, g.Const(weights(8*3*256), 8, 3, 16, 16), nil, graph.ConvOptions{Stride: 16})
	g.Output(g.Conv(f, g.Const(weights(4*8), 4, 8, 1, 1), nil, graph.ConvOptions{}), "logits")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, f.Name
}

func TestModelsImportONNX(t *testing.T) {
	network, features := tinyNetwork(t)
	folder := t.TempDir()
	dir := filepath.Join(folder, "mine")
	out := must(t, "models", "import", "onnx", network, "--features", features, "--out", dir, "--size", "128x64",
		"--classes", "road,sky,car,rest")
	if !strings.Contains(out, "8 features at stride 16, 4 classes") {
		t.Errorf("import wrote %q", out)
	}
	if out := must(t, "models", "verify", dir); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	if out := must(t, "models", "list", folder); !strings.Contains(out, "encoder only: run oodcast fit") {
		t.Errorf("list wrote %q", out)
	}
	var m models.Manifest
	if err := json.Unmarshal([]byte(must(t, "models", "show", dir, "--json", "-")), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "mine" || m.Encoder.Channels != 8 || m.Encoder.Size != (models.Size{Width: 128, Height: 64}) ||
		m.Encoder.Classes[3] != "rest" {
		t.Errorf("manifest %+v", m)
	}
	if out := must(t, "models", "show", dir, "--file", "MODEL_CARD.md"); !strings.Contains(out, "# mine") {
		t.Errorf("show --file wrote %q", out)
	}
}

// TestModelsVerifyNotices replaces the encoder and its checksum: only the golden outputs can reveal that.
func TestModelsVerifyNotices(t *testing.T) {
	network, features := tinyNetwork(t)
	dir := filepath.Join(t.TempDir(), "mine")
	must(t, "models", "import", "onnx", network, "--features", features, "--out", dir, "--size", "128x64")
	b, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if files[name], err = b.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	raw := files[models.EncoderFile]
	weight := []byte{0x8f, 0xc2, 0x75, 0xbd} // -0.06, the first weight: (0-3)/50
	if !bytes.Contains(raw, weight) {
		t.Fatal("the encoder does not contain the weight")
	}
	files[models.EncoderFile] = bytes.ReplaceAll(raw, weight, []byte{0, 0, 0, 0})
	if err := models.Write(dir, b.Manifest, files); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := oodcast(t, "models", "verify", dir)
	if code != exitFailed || !strings.Contains(stderr, "computes something else") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// ONNX Runtime sends no telemetry: it collects no events and leaves no files.
func TestNoTelemetry(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"TMPDIR", "HOME", "XDG_CACHE_HOME"} {
		t.Setenv(name, home)
	}
	must(t, "models", "verify")
	if files, err := os.ReadDir(home); err != nil || len(files) != 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

func TestModelsImportEfficientViT(t *testing.T) {
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		t.Skip("SKIPPED: OODCAST_DATA is not set, the import of the published weights was not tested")
	}
	published := filepath.Join(data, "encoders", "efficientvit_seg_b0_cityscapes.pt")
	dir := filepath.Join(t.TempDir(), "b0")
	must(t, "models", "import", "efficientvit-seg", published, "--out", dir)
	if out := must(t, "models", "verify", dir); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	raw, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pt")
	if err := os.WriteFile(cut, raw[:len(raw)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := oodcast(t, "models", "import", "efficientvit-seg", cut, "--out", filepath.Join(t.TempDir(), "x"))
	if code != exitFailed || !strings.Contains(stderr, "truncated") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("truncated checkpoint: exit %d, %q", code, stderr)
	}
}

// A SegFormer as transformers saves it becomes a bundle, which a fit completes and which then scores.
func TestModelsImportSegFormer(t *testing.T) {
	hub, err := filepath.Abs(filepath.Join("..", "..", "models", "importer", "testdata", "segformer"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	encoder, clip, fitted, scores := filepath.Join(dir, "mit"), filepath.Join(dir, "clip.avi"), filepath.Join(dir, "fitted"), filepath.Join(dir, "scores")
	out := must(t, "models", "import", "segformer", hub, "--out", encoder, "--size", "128x96", "--features", "keys@16,stage3@16")
	if !strings.Contains(out, "16 features at stride 16, 3 classes") {
		t.Errorf("import wrote %q", out)
	}
	if out := must(t, "models", "verify", encoder); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 60, nil)
	must(t, "fit", "--bundle", encoder, "--source", clip, "--out", fitted, "--steps", "20", "--batch", "64", "--width", "16")
	must(t, "score", clip, "--bundle", fitted, "--out", scores, "--format", "json")
	if raw, err := os.ReadFile(filepath.Join(scores, "clip_scores.json")); err != nil || len(raw) == 0 {
		files, _ := filepath.Glob(filepath.Join(scores, "*"))
		t.Errorf("no scores: %v; %q", err, files)
	}
}

// A Mask2Former as transformers saves it becomes a bundle whose masks methods can score.
func TestModelsImportMask2Former(t *testing.T) {
	hub, err := filepath.Abs(filepath.Join("..", "..", "models", "importer", "testdata", "mask2former"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "m2f")
	out := must(t, "models", "import", "mask2former", hub, "--out", dir, "--size", "128x96", "--features", "pixel2@16,pixel3@16")
	if !strings.Contains(out, "64 features at stride 16, 3 classes") {
		t.Errorf("import wrote %q", out)
	}
	if out := must(t, "models", "verify", dir); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
}

func TestModelsRefuses(t *testing.T) {
	network, features := tinyNetwork(t)
	dir := filepath.Join(t.TempDir(), "x")
	onnx := func(args ...string) []string {
		return append([]string{"models", "import", "onnx", network, "--out", dir}, args...)
	}
	if code, _, stderr := oodcast(t, "models", "show", dir); code == 0 || !strings.Contains(stderr, "neither a folder nor") {
		t.Errorf("no bundle: exit %d, %q", code, stderr)
	}
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no checkpoint", []string{"models", "import", "efficientvit-seg", dir, "--out", dir}, exitUsage, "no such file"},
		{"no out", []string{"models", "import", "efficientvit-seg", dir}, exitUsage, "--out"},
		{"size", onnx("--features", features, "--size", "big"), exitUsage, `--size: got "big"`},
		{"odd size", onnx("--features", features, "--size", "80x48"), exitUsage, "a positive multiple of 32"},
		{"classes", onnx("--features", features, "--classes", "a,b", "--size", "64x64"), exitUsage, "has 4 classes"},
		{"tensor", onnx("--features", "keys"), exitUsage, `makes a tensor "keys"`},
		{"no network", []string{"models", "import", "segformer", filepath.Dir(network), "--out", dir}, exitUsage, "neither model.safetensors nor"},
		{"no hub folder", []string{"models", "import", "segformer", dir, "--out", dir}, exitUsage, "no such file"},
		{"no mask network", []string{"models", "import", "mask2former", network, "--out", dir}, exitUsage, "config.json must lie beside"},
		{"list", []string{"models", "import", "efficientvit-seg", network, "--out", dir}, exitFailed, "not a torch file"},
	}
	for _, tt := range tests {
		code, _, stderr := oodcast(t, tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q; want %d and %q", tt.name, code, stderr, tt.code, tt.want)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused import left a folder")
	}
}
