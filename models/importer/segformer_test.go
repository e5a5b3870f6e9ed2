package importer_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/importer"
)

// hubFolder copies a very small network as transformers saves it, without the files named.
func hubFolder(t *testing.T, without ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"model.safetensors", "config.json", "preprocessor_config.json"} {
		if slices.Contains(without, name) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join("testdata", "segformer", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// segFormer imports a folder and returns the bundle.
func segFormer(t *testing.T, src importer.SegFormerSource) *models.Bundle {
	t.Helper()
	opt := options(t)
	if _, err := importer.SegFormer(src, opt); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil || check.Difference != 0 {
		t.Errorf("CheckGolden() = %+v, %v", check, err)
	}
	return b
}

func TestSegFormer(t *testing.T) {
	r, err := importer.SegFormer(importer.SegFormerSource{Path: hubFolder(t)}, options(t))
	if err != nil || r.Summary != "7032 parameters, widths [4 4 8 8], depths [1 1 1 1]" {
		t.Fatalf("SegFormer() = %+v, %v", r, err)
	}
	b := segFormer(t, importer.SegFormerSource{Path: hubFolder(t)})
	e := b.Manifest.Encoder
	if e.Architecture != "segformer" || e.Features != "keys@32" || e.Channels != 8 || e.Stride != 32 || e.LogitsStride != 8 ||
		strings.Join(e.Classes, ",") != "road,sky,everything else" {
		t.Errorf("encoder %+v", e)
	}
	files, _ := b.Provenance["weights_files"].(map[string]any)
	if b.Provenance["weights"] != "model.safetensors" || files["config.json"] == nil || files["preprocessor_config.json"] == nil {
		t.Errorf("provenance %v", b.Provenance)
	}
	file := filepath.Join(hubFolder(t), "model.safetensors")
	e = segFormer(t, importer.SegFormerSource{Path: file, Features: "stage2@16,stage3@16", LogitsStride: 4}).Manifest.Encoder
	if e.Channels != 12 || e.Stride != 16 || e.LogitsStride != 4 {
		t.Errorf("encoder %+v", e)
	}
}

// The encoder scales pixels as preprocessor_config.json states: the same numbers in other forms give the same outputs, and
// others do not.
func TestSegFormerStatistics(t *testing.T) {
	features := func(pictures string) []float64 {
		var without []string
		if pictures == "" {
			without = []string{"preprocessor_config.json"}
		}
		dir := hubFolder(t, without...)
		if pictures != "" && pictures != "as it is" {
			if err := os.WriteFile(filepath.Join(dir, "preprocessor_config.json"), []byte(pictures), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := segFormer(t, importer.SegFormerSource{Path: dir}).Golden()
		if err != nil {
			t.Fatal(err)
		}
		var out []float64
		for _, v := range golden.Outputs["features"].Samples {
			out = append(out, float64(v))
		}
		return out
	}
	imageNet, stated := features(""), features("as it is")
	for _, tt := range []struct {
		pictures string
		want     []float64
	}{
		{`{"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}`, imageNet},
		{`{"size": 512}`, imageNet},
		{`{"do_rescale": false, "image_mean": [127.5, 127.5, 127.5], "image_std": [127.5, 63.75, 127.5]}`, stated},
	} {
		if d := farthest(features(tt.pictures), tt.want); d > 1e-4 {
			t.Errorf("%s: differs by %g", tt.pictures, d)
		}
	}
	for name, v := range map[string][]float64{"stated": stated, "none": features(`{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5]}`)} {
		if d := farthest(v, imageNet); d < 1e-2 {
			t.Errorf("%s: differs from ImageNet's by %g only", name, d)
		}
	}
}

func farthest(a, b []float64) (most float64) {
	if len(a) != len(b) || len(a) == 0 {
		return math.Inf(1)
	}
	for i := range a {
		most = max(most, math.Abs(a[i]-b[i]))
	}
	return most
}

func TestSegFormerRefuses(t *testing.T) {
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	tests := []struct {
		name, want string
		input      bool // the error is an InputError
		edit       func(dir string) error
	}{
		{"no config", "config.json must lie beside the weights", true, remove("config.json")},
		{"no weights", "neither model.safetensors nor model.safetensors.index.json nor pytorch_model.bin", true, remove("model.safetensors")},
		{"another network", `got model_type "vit", want "segformer"`, true, write("config.json", `{"model_type": "vit"}`)},
		{"no JSON", "config.json: invalid character", true, write("config.json", "PK")},
		{"a large file", "no configuration", true, write("config.json", strings.Repeat(" ", 4<<20+1))},
		{"statistics", "got image_mean [1], image_std [2]", true, write("preprocessor_config.json", `{"image_mean": [1], "image_std": [2]}`)},
		{"deviation", "image_std [1 0 1]", true, write("preprocessor_config.json", `{"image_mean": [1, 1, 1], "image_std": [1, 0, 1]}`)},
		{"huge mean", "image_mean [0 1e+308 0]", true, write("preprocessor_config.json", `{"image_mean": [0, 1e308, 0], "image_std": [1, 1, 1]}`)},
		{"tiny factor", "rescale_factor 1e-300", true, write("preprocessor_config.json", `{"rescale_factor": 1e-300, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}`)},
		{"no safetensors", "not safetensors", false, write("model.safetensors", "version https://git-lfs.github.com/spec/v1")},
		{"missing", `no tensor "decode_head.linear_c.2.proj.bias"`, true, func(dir string) error {
			path := filepath.Join(dir, "model.safetensors")
			ts, _, err := checkpoint.ReadSafetensors(path)
			if err != nil {
				return err
			}
			delete(ts, "decode_head.linear_c.2.proj.bias")
			raw, err := checkpoint.MarshalSafetensors(ts, nil)
			return errors.Join(err, os.WriteFile(path, raw, 0o600))
		}},
	}
	for _, tt := range tests {
		dir, opt := hubFolder(t), options(t)
		if err := tt.edit(dir); err != nil {
			t.Fatal(err)
		}
		_, err := importer.SegFormer(importer.SegFormerSource{Path: dir}, opt)
		var input *importer.InputError
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.As(err, &input) != tt.input {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(opt.Out); err == nil {
			t.Errorf("%s: a refused import left a folder", tt.name)
		}
	}
	if _, err := importer.SegFormer(importer.SegFormerSource{Path: filepath.Join(t.TempDir(), "none")}, options(t)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// Whatever a preprocessor_config.json says, pixels can be divided by the deviation, or it is refused.
func FuzzHubStatistics(f *testing.F) {
	f.Add([]byte(`{"image_mean":[0.5,0.5,0.5],"image_std":[0.25,0.25,0.25],"do_rescale":true,"rescale_factor":0.00392}`))
	f.Add([]byte(`{"do_normalize":false}`))
	f.Add([]byte(`{"image_mean":[1e308,0,0],"image_std":[1e-308,1,1],"rescale_factor":1e-300}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		mean, std, err := importer.HubStatistics(raw)
		if err != nil || std == [3]float64{} {
			return
		}
		for i := range 3 {
			if !(std[i] > 0) || math.IsInf(std[i], 0) || math.IsNaN(mean[i]) || math.IsInf(mean[i], 0) {
				t.Errorf("mean %v, deviation %v", mean, std)
			}
		}
	})
}
