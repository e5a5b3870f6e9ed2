package importer_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/importer"
)

// vitWeights writes random weights of a vision transformer under timm's names.
func vitWeights(t *testing.T, width, depth int) (path string) {
	t.Helper()
	r, ts := rand.New(rand.NewPCG(1, 2)), checkpoint.Tensors{}
	put := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		for i := range x.Data {
			x.Data[i] = (r.Float32() - 0.5) / 8
		}
		ts[name] = x
	}
	layer := func(name string, out, in int) {
		put(name+".weight", out, in)
		put(name+".bias", out)
	}
	norm := func(name string) {
		put(name+".weight", width)
		put(name+".bias", width)
	}
	put("cls_token", 1, 1, width)
	put("pos_embed", 1, 17, width)
	put("patch_embed.proj.weight", width, 3, 16, 16)
	put("patch_embed.proj.bias", width)
	for i := range depth {
		b := fmt.Sprintf("blocks.%d.", i)
		norm(b + "norm1")
		norm(b + "norm2")
		layer(b+"attn.qkv", 3*width, width)
		layer(b+"attn.proj", width, width)
		layer(b+"mlp.fc1", 4*width, width)
		layer(b+"mlp.fc2", width, 4*width)
	}
	norm("norm")
	raw, err := checkpoint.MarshalSafetensors(ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "vit.safetensors")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The weights of a large network, which do not go through memory at once, are in its bundle, and nothing else is left.
func TestViTLarge(t *testing.T) {
	const leastHeavy = 32 << 20
	path := vitWeights(t, 384, 6)
	opt := options(t)
	r, err := importer.ViT(importer.ViTSource{Weights: path, Features: "block1.values@16,norm@16"}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if r.Encoder.Channels != 768 || r.Encoder.Multiple != 16 || !strings.Contains(r.Summary, "6 blocks of width 384, 6 heads, patches of 16") {
		t.Errorf("%s, %+v", r.Summary, r.Encoder)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if size := b.Files[models.EncoderFile].Bytes; size < leastHeavy {
		t.Errorf("the encoder has %d bytes: too few for this test", size)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil {
		t.Errorf("CheckGolden() = %v, %v", check, err)
	}
	beside, err := os.ReadDir(filepath.Dir(opt.Out))
	if err != nil || len(beside) != 1 {
		t.Errorf("beside the bundle: %v, %v", beside, err)
	}
}
