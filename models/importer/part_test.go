package importer_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// smallLite writes the weights of a small EfficientNet-Lite that seed determines.
func smallLite(t *testing.T, seed int) string {
	t.Helper()
	ts := checkpoint.Tensors{}
	put := func(name string, centre float32, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		v := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		for i := range v.Data {
			v.Data[i] = centre + float32((i*7919+len(ts)*104729+seed*31)%1000-500)/2000
		}
		ts[name] = v
	}
	conv := func(name, norm string, out, in, k int) {
		put(name+".weight", 0, out, in, k, k)
		for _, p := range []string{".weight", ".running_var"} {
			put(norm+p, 1, out)
		}
		for _, p := range []string{".bias", ".running_mean"} {
			put(norm+p, 0, out)
		}
	}
	conv("_conv_stem", "_bn0", 16, 3, 3)
	in := 16
	for i, width := range []int{8, 12, 16, 20, 24, 28, 32} {
		b, mid := fmt.Sprintf("_blocks.%d.", i), in
		if i > 0 {
			mid = 3 * in
			conv(b+"_expand_conv", b+"_bn0", mid, in, 1)
		}
		conv(b+"_depthwise_conv", b+"_bn1", mid, 1, 3)
		conv(b+"_project_conv", b+"_bn2", width, mid, 1)
		in = width
	}
	raw, err := checkpoint.MarshalSafetensors(ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), fmt.Sprintf("small%d.safetensors", seed))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// projected imports weights and puts a layer of our own behind them, as training does.
func projected(t *testing.T, weights string) *models.Bundle {
	t.Helper()
	opt := options(t)
	if _, err := importer.EfficientNetLite(importer.LiteSource{Weights: weights, Features: "stage5@16,stage6@16"}, opt); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if files[name], err = b.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	c := b.Manifest.Encoder.Channels
	p := nets.Projection{Shift: make([]float32, c), Matrix: make([]float32, c*c)}
	for i := range p.Matrix {
		p.Matrix[i] = float32(i%13) / 13
	}
	if files[models.EncoderFile], err = nets.Project(files[models.EncoderFile], p); err != nil {
		t.Fatal(err)
	}
	if err := models.Write(opt.Out, b.Manifest, files); err != nil {
		t.Fatal(err)
	}
	if b, err = models.Open(opt.Out); err != nil {
		t.Fatal(err)
	}
	return b
}

// A bundle without its published weights is small, does not open, and becomes the same bundle with them.
func checkPart(t *testing.T, weights string, largest float64) {
	t.Helper()
	b := projected(t, weights)
	dir, out := filepath.Join(t.TempDir(), "part"), filepath.Join(t.TempDir(), "whole")
	taken, err := importer.Strip(b, []string{weights}, dir)
	if err != nil {
		t.Fatal(err)
	}
	part, err := os.ReadFile(filepath.Join(dir, models.PartFile))
	if err != nil {
		t.Fatal(err)
	}
	size := b.Files[models.EncoderFile].Bytes
	t.Logf("%d bytes of %d taken out, %d remain", taken, size, len(part))
	if float64(len(part)) > largest*float64(size) {
		t.Errorf("%d of %d bytes remain", len(part), size)
	}
	if _, err := models.Open(dir); !errors.Is(err, models.ErrCorrupt) || !strings.Contains(err.Error(), "oodcast models assemble completes") {
		t.Errorf("Open() of a part: %v", err)
	}
	if _, err := importer.Assemble(dir, []string{smallLite(t, 5), weights}, out); err != nil {
		t.Fatal(err)
	}
	whole, err := models.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range b.FileNames() {
		want, err := b.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := whole.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs: %v", name, err)
		}
	}
	err = ort.Runner{}.Run(part, func(models.EncodeFunc) error { return nil })
	if err == nil {
		t.Error("the part runs as if it were a model")
	}
}

func TestPart(t *testing.T) { checkPart(t, smallLite(t, 1), 0.6) }

func TestPartOfPublished(t *testing.T) {
	path := filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: no bundle with the published EfficientNet-Lite weights was taken apart: run make deps-lite")
	}
	checkPart(t, path, 0.12)
}

func TestPartRefuses(t *testing.T) {
	weights, other := smallLite(t, 1), smallLite(t, 2)
	b := projected(t, weights)
	dir, out := filepath.Join(t.TempDir(), "part"), filepath.Join(t.TempDir(), "out")
	strip := func(weights, dir string) error {
		_, err := importer.Strip(b, []string{weights}, dir)
		return err
	}
	if err := strip(weights, dir); err != nil {
		t.Fatal(err)
	}
	assemble := func(dir, weights string) error {
		_, err := importer.Assemble(dir, []string{weights}, out)
		return err
	}
	edited := func(name, was, now string) string {
		copied := filepath.Join(t.TempDir(), "part")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(filepath.Join(copied, name))
		if err != nil || !bytes.Contains(raw, []byte(was)) {
			t.Fatalf("no %q in %s, %v", was, name, err)
		}
		if err := os.WriteFile(filepath.Join(copied, name), bytes.Replace(raw, []byte(was), []byte(now), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		return copied
	}
	encoder := b.Files[models.EncoderFile].SHA256
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"weights of another network", assemble(dir, other), "these are not the weights that were taken out"},
		{"no weights", assemble(dir, filepath.Join(dir, models.PartFile)), "not a torch file"},
		{"no part", assemble(filepath.Dir(dir), weights), "bundle.yaml"},
		{"whole bundle", assemble(b.Dir, weights), "encoder.part.onnx: no such file"},
		{"another card", assemble(edited(models.CardFile, "#", "%"), weights), "MODEL_CARD.md: sha256"},
		{"another encoder", assemble(edited(models.ManifestFile, encoder, strings.Repeat("0", 64)), weights), "encoder.onnx: sha256"},
		{"damaged part", assemble(edited(models.PartFile, "sha256:", "sha257:"), weights), "encoder.onnx: "},
		{"nothing to take out", strip(other, filepath.Join(t.TempDir(), "x")), "contains none of these weights"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) || strings.Contains(tt.err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tt.name, tt.err, tt.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a refused assembly left a folder")
	}
	// A part over the bundle that it was made of, and back: other files stay, and no encoder too many.
	note := filepath.Join(b.Dir, "recipe.txt")
	if err := os.WriteFile(note, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	has := func(name string) bool { _, err := os.Stat(filepath.Join(b.Dir, name)); return err == nil }
	if err := strip(weights, b.Dir); err != nil || !has(models.PartFile) || has(models.EncoderFile) {
		t.Errorf("a part in the place of its bundle: %v", err)
	}
	if _, err := importer.Assemble(b.Dir, []string{weights}, b.Dir); err != nil || has(models.PartFile) || !has(models.EncoderFile) {
		t.Errorf("the bundle in the place of its part: %v", err)
	}
	if !has("recipe.txt") {
		t.Error("a file that the bundle does not list is gone")
	}
}
