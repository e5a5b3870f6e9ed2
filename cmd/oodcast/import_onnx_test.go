package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

const tinyONNX = "../../models/importer/testdata/onnx/"

// Without --features, tensors are listed and tried; with auto, the best becomes the features.
func TestImportONNXTries(t *testing.T) {
	footage := demoClip(t)
	list := filepath.Join(t.TempDir(), "tried.json")
	out, errs, code := call(t, "models", "import", "onnx", tinyONNX+"fixed.onnx", "--normal", footage, "--json", list)
	if code != exitDone {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{"TENSOR", "FPR95", "relu_2", "[1 16 8 12]", "frames of vtest.avi", "next: oodcast models import onnx"} {
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
	out, errs, code = call(t, "models", "import", "onnx", tinyONNX+"fixed.onnx", "--normal", footage, "--features", "auto", "--out", bundle)
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

func TestImportONNXRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"missing flags: --out=DIR":                 {"fixed.onnx", "--features", "relu_2"},
		"takes pictures of 96x64 only":             {"fixed.onnx", "--features", "relu_2", "--out", "x", "--size", "128x64"},
		"takes 2 pictures at once":                 {"batch2.onnx", "--features", "/Relu_2_output_0", "--out", "x"},
		"--normal camera:0 never ends":             {"fixed.onnx", "--normal", "camera:0"},
		"makes a tensor \"nothing\"":               {"fixed.onnx", "--features", "nothing", "--out", "x"},
	} {
		args[0] = tinyONNX + args[0]
		_, errs, code := call(t, append([]string{"models", "import", "onnx"}, args...)...)
		if code != exitUsage || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: %d, %q; want %q", args, code, errs, want)
		}
	}
}
