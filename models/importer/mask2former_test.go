package importer_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
)

// A Mask2Former as transformers saves it, in half precision, becomes a bundle with what methods on masks read.
func TestMask2Former(t *testing.T) {
	folder := filepath.Join("testdata", "mask2former")
	opt := options(t)
	r, err := importer.Mask2Former(importer.Mask2FormerSource{Path: folder}, opt)
	if err != nil || r.Summary != "43626 parameters, 6 queries, depths [2 1 1 1]" {
		t.Fatalf("Mask2Former() = %+v, %v", r, err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil || check.Difference != 0 {
		t.Errorf("CheckGolden() = %+v, %v", check, err)
	}
	e := b.Manifest.Encoder
	if e.Architecture != "mask2former" || e.Features != "pixel3@16" || e.Channels != 32 || e.Stride != 16 || e.LogitsStride != 4 ||
		strings.Join(e.Classes, ",") != "road,building,sky" {
		t.Errorf("encoder %+v", e)
	}
	golden, err := b.Golden()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"features", "logits", "lse", "class_logits", "mask_logits"} {
		if len(golden.Outputs[name].Samples) == 0 {
			t.Errorf("the encoder has no %s", name)
		}
	}
	if files, _ := b.Provenance["weights_files"].(map[string]any); files["config.json"] == nil {
		t.Errorf("provenance %v", b.Provenance)
	}
	opt.Out = filepath.Join(t.TempDir(), "other")
	opt.Classes = []string{"a", "b", "c"}
	r, err = importer.Mask2Former(importer.Mask2FormerSource{Path: filepath.Join(folder, "model.safetensors"), Features: "stage1@8,masks@8"}, opt)
	if err != nil || r.Encoder.Channels != 4+12 || r.Encoder.Stride != 8 || r.Encoder.Classes[2] != "c" {
		t.Errorf("Mask2Former() = %+v, %v", r, err)
	}
}

func TestMask2FormerRefuses(t *testing.T) {
	folder := filepath.Join("testdata", "mask2former")
	alone := filepath.Join(t.TempDir(), "model.safetensors")
	raw, err := os.ReadFile(filepath.Join(folder, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alone, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		src  importer.Mask2FormerSource
		want string
	}{
		"no config":       {importer.Mask2FormerSource{Path: alone}, "config.json must lie beside the weights"},
		"another network": {importer.Mask2FormerSource{Path: filepath.Join("testdata", "segformer")}, `got model_type "segformer"`},
		"no such feature": {importer.Mask2FormerSource{Path: folder, Features: "keys@32"}, `got "keys"`},
	} {
		opt := options(t)
		var bad *importer.InputError
		if _, err := importer.Mask2Former(tt.src, opt); !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if _, err := os.Stat(opt.Out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a refused import left a folder", name)
		}
	}
}
