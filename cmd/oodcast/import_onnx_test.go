package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
)

// tinyONNX returns the path of a network that an exporter made.
func tinyONNX(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "models", "importer", "testdata", "onnx", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Without --features, tensors are listed and tried; with auto, the best becomes the features.
func TestImportONNXTries(t *testing.T) {
	footage := demoClip(t)
	list := filepath.Join(t.TempDir(), "tried.json")
	code, out, errs := oodcast(t, "models", "import", "onnx", tinyONNX(t, "fixed.onnx"), "--normal", footage, "--json", list)
	if code != exitDone {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{"TENSOR", "FPR95", "relu_2", "[1 16 8 12]", "vtest.avi, on things pasted into 8 others", "next: oodcast models import onnx"} {
		if !strings.Contains(out, want) {
			t.Errorf("the list lacks %q:\n%s", want, out)
		}
	}
	raw, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Tensor           string
		Stride, Channels int
		AP               float64
	}
	if err := json.Unmarshal(raw, &rows); err != nil || len(rows) < 4 {
		t.Fatalf("%d rows, %v: %s", len(rows), err, raw)
	}
	for i, r := range rows {
		if r.AP <= 0 || r.Stride < 4 || r.Channels < 8 || i > 0 && r.AP > rows[i-1].AP {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	bundle := filepath.Join(t.TempDir(), "mine")
	code, out, errs = oodcast(t, "models", "import", "onnx", tinyONNX(t, "fixed.onnx"), "--normal", footage, "--features", "auto", "--out", bundle)
	if code != exitDone || !strings.Contains(out, "features "+rows[0].Tensor) {
		t.Fatalf("%d, want features %s: %s %s", code, rows[0].Tensor, out, errs)
	}
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if enc := b.Manifest.Encoder; !enc.Fixed || enc.Size != (models.Size{Width: 96, Height: 64}) {
		t.Errorf("working size %+v, fixed: %v", enc.Size, enc.Fixed)
	}
}

// A network of one size is fitted and scores footage of every shape; what needs another size is refused.
func TestImportONNXFixed(t *testing.T) {
	dir := t.TempDir()
	encoder, bundle, clip := filepath.Join(dir, "encoder"), filepath.Join(dir, "bundle"), filepath.Join(dir, "clip.mp4")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 24, nil)
	out := must(t, "models", "import", "onnx", tinyONNX(t, "fixed.onnx"), "--features", "relu_2", "--out", encoder)
	if !strings.Contains(out, "96x64 only") {
		t.Errorf("the import says %q", out)
	}
	must(t, "models", "verify", encoder)
	fit := []string{"fit", "--bundle", encoder, "--source", clip, "--out", bundle, "--steps", "20", "--width", "32", "--batch", "64"}
	code, _, errs := oodcast(t, append(fit, "--scales", "1,0.5")...)
	if code == exitDone || !strings.Contains(errs, "works at one size only: 96x64: leave --scales out") {
		t.Errorf("scales: %d, %s", code, errs)
	}
	code, _, errs = oodcast(t, append(fit, "--size", "128x64")...)
	if code != exitUsage || !strings.Contains(errs, "want 96x64: this network takes no other size") {
		t.Errorf("size: %d, %s", code, errs)
	}
	must(t, fit...)
	must(t, "score", clip, "--bundle", bundle, "--out", filepath.Join(dir, "maps"), "--format", "npy", "-q")
	maps, err := filepath.Glob(filepath.Join(dir, "maps", "*.npy"))
	if err != nil || len(maps) != 1 {
		t.Errorf("maps %v, %v", maps, err)
	}
	code, _, errs = oodcast(t, "score", clip, "--bundle", bundle, "--out", dir, "--size", "192x128")
	if code != exitUsage || !strings.Contains(errs, "want 96x64") {
		t.Errorf("score --size: %d, %s", code, errs)
	}
}

func TestImportONNXRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"missing flags: --out=DIR":     {"fixed.onnx", "--features", "relu_2"},
		"takes pictures of 96x64 only": {"fixed.onnx", "--features", "relu_2", "--out", "x", "--size", "128x64"},
		"takes 2 pictures at once":     {"batch2.onnx", "--features", "/Relu_2_output_0", "--out", "x"},
		"--normal camera:0 never ends": {"fixed.onnx", "--normal", "camera:0"},
		"makes a tensor \"nothing\"":   {"fixed.onnx", "--features", "nothing", "--out", "x"},
	} {
		args[0] = tinyONNX(t, args[0])
		code, _, errs := oodcast(t, append([]string{"models", "import", "onnx"}, args...)...)
		if code != exitUsage || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d, %q; want %q", args, code, errs, want)
		}
	}
}
