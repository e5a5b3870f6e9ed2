package main

import (
	"encoding/json"
	gomaps "maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// randomWeights returns weights of the given names and shapes.
func randomWeights(shapes map[string][]int) checkpoint.Tensors {
	r, ts := rand.New(rand.NewPCG(1, 2)), checkpoint.Tensors{}
	for _, name := range slices.Sorted(gomaps.Keys(shapes)) {
		n := 1
		for _, d := range shapes[name] {
			n *= d
		}
		t := &checkpoint.Tensor{Name: name, Shape: shapes[name], Data: make([]float32, n)}
		for i := range t.Data {
			t.Data[i] = float32(r.NormFloat64()) / 8
			switch {
			case len(t.Shape) == 1 && strings.HasSuffix(name, "weight"), strings.HasSuffix(name, "running_var"):
				t.Data[i]++
			}
		}
		ts[name] = t
	}
	return ts
}

// vitShapes returns the names and shapes of a tiny network's weights, as PyTorch's packages write them.
func vitShapes(t *testing.T, net string) (shapes map[string][]int) {
	t.Helper()
	_, meta, err := checkpoint.ReadSafetensors(filepath.Join("..", "..", "models", "nets", "testdata", "vit_golden.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(meta[net]), &shapes); err != nil {
		t.Fatal(err)
	}
	return shapes
}

func writeWeights(t *testing.T, path string, ts checkpoint.Tensors) string {
	t.Helper()
	raw, err := checkpoint.MarshalSafetensors(ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// doodPair returns the weights of a pair under the names of the published files, of 64 channels. The denoiser has the
// normalisation of the older files: ranges of batches, of which the second was never filled. Its features are small against
// the noise, and its layers pass on what comes in, so that its prediction resembles the noise and scores vary.
func doodPair(t *testing.T, net string, denoiser models.DenoiserConfig) (segm, diff checkpoint.Tensors) {
	t.Helper()
	const c = 64
	shapes := map[string][]int{}
	denoiser.Channels = c
	for _, p := range nets.DenoiserParams(denoiser) {
		shapes[p.Name] = p.Shape
	}
	diff = randomWeights(shapes)
	for name, x := range diff {
		switch {
		case strings.HasSuffix(name, ".skip_connection.weight"), name == "denoiser.out.2.weight":
			clear(x.Data)
			for i := range c {
				x.Data[i*x.Shape[1]+i] = 1
			}
		case strings.HasSuffix(name, ".out_layers.3.weight"):
			for i := range x.Data {
				x.Data[i] /= 1000
			}
		case strings.HasSuffix(name, ".bias") && !strings.Contains(name, "emb"):
			clear(x.Data)
		}
	}
	inf := float32(math.Inf(1))
	for name, sign := range map[string]float32{"normalization.mins": -1, "normalization.maxs": 1} {
		x := &checkpoint.Tensor{Name: name, Shape: []int{2, c}, Data: make([]float32, 2*c)}
		for i := range c {
			x.Data[i], x.Data[c+i] = sign*float32(200+i%3), -sign*inf
		}
		diff[name] = x
	}
	diff["normalization.queue_ptr"] = &checkpoint.Tensor{Name: "normalization.queue_ptr", Shape: []int{1}, Data: []float32{1}}
	return randomWeights(vitShapes(t, net)), diff
}

// Pairs as DOoD published them go all the way: import, verify, calibrate on footage, score. Before the calibration, the bundle
// says what is missing.
func TestImportDOoD(t *testing.T) {
	clip := filepath.Join(t.TempDir(), "clip.mp4")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 12, nil)
	for net, denoiser := range map[string]models.DenoiserConfig{
		"segmenter": {Blocks: [3]int{6, 3, 6}, Time: models.TimeSinusoidal},
		"setr":      {Blocks: [3]int{8, 4, 8}, Time: models.TimeScalar},
	} {
		t.Run(net, func(t *testing.T) {
			dir := t.TempDir()
			segm, diff := doodPair(t, net, denoiser)
			bundle, calibrated := filepath.Join(dir, "pair"), filepath.Join(dir, "calibrated")
			segmFile := writeWeights(t, filepath.Join(dir, "segm.safetensors"), segm)
			diffFile := writeWeights(t, filepath.Join(dir, "diff.safetensors"), diff)
			out := must(t, "models", "import", "dood", "--segm", segmFile, "--diff", diffFile, "--heads", "4", "--out", bundle, "--size", "160x96")
			if !strings.Contains(out, "64 features at stride 16, 5 classes; next: oodcast fit --calibrate-only") {
				t.Errorf("import wrote %q", out)
			}
			if out := must(t, "models", "verify", bundle); !strings.Contains(out, "outputs right on cpu") {
				t.Errorf("verify wrote %q", out)
			}
			code, _, stderr := oodcast(t, "score", clip, "--bundle", bundle, "--out", filepath.Join(dir, "none"))
			if code == exitDone || !strings.Contains(stderr, "not calibrated: run oodcast fit --calibrate-only") {
				t.Errorf("score before the calibration: exit %d, %q", code, stderr)
			}
			must(t, "fit", "--calibrate-only", "--bundle", bundle, "--source", clip, "--out", calibrated)
			out = must(t, "models", "import", "dood", "--segm", segmFile, "--diff", diffFile, "--heads", "4", "--out", bundle, "--size", "160x96",
				"--name", "pair", "--calibrate", clip)
			if !strings.Contains(out, "5 classes\n") || !strings.Contains(out, ", threshold ") {
				t.Errorf("import --calibrate wrote %q", out)
			}
			sameCalibration(t, bundle, calibrated)
			b, err := models.Open(calibrated)
			if err != nil {
				t.Fatal(err)
			}
			d := b.Manifest.Denoiser
			if b.Uncalibrated != "" || d.Blocks != denoiser.Blocks || d.Time != denoiser.Time || b.Normalise != models.NormaliseGlobal ||
				b.Diffusion.Noise != models.NoiseIndependent || len(b.Diffusion.Timesteps) != 25 || b.Compound.Rule != models.RuleStandardised {
				t.Errorf("manifest %+v", b.Manifest)
			}
			kept, err := b.Denoiser()
			if err != nil {
				t.Fatal(err)
			}
			if got := kept[nets.NormScale]; got == nil || got.Data[0] != 202 || kept["normalization.mins"] != nil {
				t.Errorf("normalisation %v", got)
			}
			scores := filepath.Join(dir, "scores")
			must(t, "score", clip, "--bundle", calibrated, "--out", scores, "--format", "json")
			if files, err := os.ReadDir(scores); err != nil || len(files) == 0 {
				t.Errorf("scores: %v, %v", files, err)
			}
		})
	}
}

// sameCalibration checks that two bundles have the same calibration.
func sameCalibration(t *testing.T, a, b string) {
	t.Helper()
	var raw [2]string
	for i, dir := range []string{a, b} {
		content, err := os.ReadFile(filepath.Join(dir, models.CalibrationFile))
		if err != nil {
			t.Error(err)
		}
		raw[i] = string(content)
	}
	if raw[0] != raw[1] {
		t.Errorf("calibrations differ:\n%s\n%s", raw[0], raw[1])
	}
}

// Footage that cannot be read, or never ends, is told before the import.
func TestImportDOoDCalibrateRefuses(t *testing.T) {
	for source, want := range map[string]string{"missing.mp4": "missing.mp4", "rtsp://127.0.0.1:9/": "never ends: add --duration"} {
		code, _, stderr := oodcast(t, "models", "import", "dood", "--segm", "a.pth", "--diff", "b.pth", "--out", filepath.Join(t.TempDir(), "out"),
			"--calibrate", source)
		if code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %q; want %q", source, code, stderr, want)
		}
	}
}

// Files that are no pair are refused in one line that names the file and the fault.
func TestImportDOoDRefuses(t *testing.T) {
	dir := t.TempDir()
	segm, diff := doodPair(t, "segmenter", models.DenoiserConfig{Blocks: [3]int{6, 3, 6}})
	edited := func(ts checkpoint.Tensors, edit func(checkpoint.Tensors)) string {
		ts = gomaps.Clone(ts)
		edit(ts)
		f, err := os.CreateTemp(dir, "*.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return writeWeights(t, f.Name(), ts)
	}
	good, goodDiff := edited(segm, func(checkpoint.Tensors) {}), edited(diff, func(checkpoint.Tensors) {})
	for _, tt := range []struct{ name, segm, diff, want string }{
		{"swapped", goodDiff, good, "not the weights of a plain vision transformer"},
		{"twice", good, good, "not the weights of a DOoD denoiser"},
		{"missing", good, edited(diff, func(ts checkpoint.Tensors) {
			delete(ts, "denoiser.middle_blocks.1.0.out_layers.3.bias")
		}), `no tensor "denoiser.middle_blocks.1.0.out_layers.3.bias"`},
		{"missing block", good, edited(diff, func(ts checkpoint.Tensors) {
			delete(ts, "denoiser.output_blocks.5.0.in_layers.0.weight")
		}), "denoiser.blocks: got [6 3 5]"},
		{"shape", good, edited(diff, func(ts checkpoint.Tensors) {
			ts["denoiser.out.0.weight"] = &checkpoint.Tensor{Name: "denoiser.out.0.weight", Shape: []int{2}, Data: make([]float32, 2)}
		}), `"denoiser.out.0.weight" has shape [2], want [64]`},
		{"no normalisation", good, edited(diff, func(ts checkpoint.Tensors) { delete(ts, "normalization.mins") }), `no tensor "normalization.shift"`},
		{"another layer", good, edited(diff, func(ts checkpoint.Tensors) {
			ts["denoiser.label_emb.weight"] = ts["denoiser.out.0.weight"]
		}), `does not use the weights "denoiser.label_emb.weight"`},
		{"no pair", edited(randomWeights(vitShapes(t, "setr")), func(ts checkpoint.Tensors) {
			gomaps.DeleteFunc(ts, func(name string, _ *checkpoint.Tensor) bool { return true })
			for name, x := range randomWeights(narrow(vitShapes(t, "setr"))) {
				ts[name] = x
			}
		}), goodDiff, "the denoiser takes features of 64 channels"},
		{"no head", edited(segm, func(ts checkpoint.Tensors) {
			delete(ts, "decode_head.cls_emb")
			delete(ts, "decode_head.conv_seg.weight")
		}), goodDiff, "no segmentation head"},
		{"segmenter's layer", edited(segm, func(ts checkpoint.Tensors) {
			delete(ts, "decode_head.layers.0.attn.attn.in_proj_weight")
		}), goodDiff, `no tensor "decode_head.layers.0.attn.attn.in_proj_weight"`},
	} {
		out := filepath.Join(dir, "out")
		code, _, stderr := oodcast(t, "models", "import", "dood", "--segm", tt.segm, "--diff", tt.diff, "--heads", "4", "--out", out)
		if code != exitUsage || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q; want %q", tt.name, code, stderr, tt.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a refused import left a folder", tt.name)
		}
	}
}

// narrow halves all dimensions of 64 channels.
func narrow(shapes map[string][]int) map[string][]int {
	out := map[string][]int{}
	for name, shape := range shapes {
		for _, d := range shape {
			if d%64 == 0 {
				d /= 2
			}
			out[name] = append(out[name], d)
		}
	}
	return out
}

// A DINOv2 with registers, whose patches of 14 divide neither the default size nor the stride of other maps, goes all the
// way: import, verify, fit, score.
func TestImportViT(t *testing.T) {
	dir := t.TempDir()
	weights := writeWeights(t, filepath.Join(dir, "dinov2.safetensors"), randomWeights(vitShapes(t, "dinov2-reg-hf")))
	encoder, fitted := filepath.Join(dir, "encoder"), filepath.Join(dir, "fitted")
	out := must(t, "models", "import", "vit", weights, "--heads", "4", "--out", encoder)
	if !strings.Contains(out, "4 registers") || !strings.Contains(out, "32 features at stride 14, no classes") {
		t.Errorf("import wrote %q", out)
	}
	b, err := models.Open(encoder)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.Manifest.Encoder.Size, (models.Size{Width: 1022, Height: 504}); got != want || b.Manifest.Encoder.Features != "block2.keys@14" {
		t.Errorf("working size %v, features %s; want %v", got, b.Manifest.Encoder.Features, want)
	}
	must(t, "models", "import", "vit", weights, "--heads", "4", "--out", encoder, "--size", "126x98", "--features", "block1.tokens@14,norm@14")
	if out := must(t, "models", "verify", encoder); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	normal := filepath.Join(dir, "normal")
	picturesOf(t, normal, 12, false)
	must(t, "fit", "--bundle", encoder, "--source", filepath.Join(normal, "images"), "--out", fitted, "--steps", "20", "--batch", "64",
		"--width", "16", "--whiten", "--drop-components", "4")
	scores := filepath.Join(dir, "scores")
	must(t, "score", filepath.Join(normal, "images", "a.png"), "--bundle", fitted, "--out", scores)
	if _, err := os.Stat(filepath.Join(scores, "a_scores.npy")); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"size", "a positive multiple of 14", []string{"--size", "128x96"}},
		{"features", `got "block9.keys", want block0 to block2`, []string{"--features", "block9.keys@14"}},
		{"mean", "--mean and --std: want three numbers each", []string{"--mean", "0.5,0.5,0.5"}},
	} {
		args := append([]string{"models", "import", "vit", weights, "--heads", "4", "--out", filepath.Join(dir, "out")}, tt.args...)
		if code, _, stderr := oodcast(t, args...); code != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: exit %d, %q; want %q", tt.name, code, stderr, tt.want)
		}
	}
}
