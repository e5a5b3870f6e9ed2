package importer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
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

// hubViT writes a small DINOv3 as transformers saves it: in so many files, with an index if they are several.
func hubViT(t *testing.T, files int) (dir string) {
	t.Helper()
	s := shapes{"embeddings.cls_token": {1, 1, 32}, "embeddings.mask_token": {1, 1, 32}, "embeddings.register_tokens": {1, 4, 32}}
	s.linear("embeddings.patch_embeddings", 32, 3, 16, 16)
	for i := range 2 {
		b := fmt.Sprintf("layer.%d.", i)
		s.norm(b+"norm1", 32)
		s.norm(b+"norm2", 32)
		for _, name := range []string{"q_proj", "k_proj", "v_proj", "o_proj"} {
			s.linear(b+"attention."+name, 32, 32)
		}
		s.linear(b+"mlp.up_proj", 48, 32)
		s.linear(b+"mlp.down_proj", 32, 48)
		s[b+"layer_scale1.lambda1"], s[b+"layer_scale2.lambda1"] = []int{32}, []int{32}
	}
	s.norm("norm", 32)
	dir = t.TempDir()
	index, parts := map[string]string{}, make([]shapes, files)
	for i, name := range slices.Sorted(maps.Keys(s)) {
		at := i * files / len(s)
		if parts[at] == nil {
			parts[at] = shapes{}
		}
		parts[at][name], index[name] = s[name], fmt.Sprintf("model-%05d-of-%05d.safetensors", at+1, files)
	}
	for i, part := range parts {
		name := "model.safetensors"
		if files > 1 {
			name = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, files)
		}
		part.write(t, filepath.Join(dir, name))
	}
	if files > 1 {
		raw, err := json.Marshal(map[string]any{"weight_map": index})
		if err != nil {
			t.Fatal(err)
		}
		writeText(t, filepath.Join(dir, "model.safetensors.index.json"), string(raw))
	}
	writeText(t, filepath.Join(dir, "config.json"), `{"model_type":"dinov3_vit","hidden_size":32,"num_hidden_layers":2,"num_attention_heads":4,
		"patch_size":16,"rope_theta":100.0,"hidden_act":"gelu","layer_norm_eps":1e-05}`)
	writeText(t, filepath.Join(dir, "preprocessor_config.json"), `{"image_mean":[0.5,0.5,0.5],"image_std":[0.25,0.25,0.25]}`)
	return dir
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A folder of the hub states the heads and the statistics of pictures, may hold several files with weights, all of which the
// bundle names, and with DINOv3's weights the bundle says whose licence the user must hold.
func TestViTFolder(t *testing.T) {
	dir := hubViT(t, 3)
	opt := options(t)
	r, err := importer.ViT(importer.ViTSource{Weights: dir}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Summary, "2 blocks of width 32, 4 heads, patches of 16, 4 registers") {
		t.Errorf("summary %q", r.Summary)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := b.Provenance["weights_files"].(map[string]any)
	if b.Provenance["weights"] != "model.safetensors.index.json" || len(files) != 5 || files["model-00003-of-00003.safetensors"] == nil ||
		files["config.json"] == nil || files["preprocessor_config.json"] == nil {
		t.Errorf("provenance %v", b.Provenance)
	}
	card, err := b.ReadFile(models.CardFile)
	if err != nil || !strings.Contains(string(card), "Licence of the weights: DINOv3 License of Meta") {
		t.Errorf("card %q, %v", card, err)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil {
		t.Errorf("CheckGolden() = %v, %v", check, err)
	}
	writeText(t, filepath.Join(dir, "config.json"), `{"model_type":"dinov3_vit","hidden_size":64}`)
	if _, err := importer.ViT(importer.ViTSource{Weights: dir}, options(t)); err == nil || !strings.Contains(err.Error(), "hidden_size: got 64") {
		t.Errorf("another config.json: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "model-00002-of-00003.safetensors")); err != nil {
		t.Fatal(err)
	}
	if _, err := importer.ViT(importer.ViTSource{Weights: dir}, options(t)); err == nil || !strings.Contains(err.Error(), "model-00002-of-00003.safetensors") {
		t.Errorf("without a file: %v", err)
	}
}

// One file and several are the same network, and flags go before the files of a folder.
func TestViTFolderFlags(t *testing.T) {
	sums := map[string]string{}
	for name, src := range map[string]importer.ViTSource{
		"one":   {Weights: hubViT(t, 1)},
		"file":  {Weights: filepath.Join(hubViT(t, 1), "model.safetensors"), Heads: 4, Mean: [3]float64{0.5, 0.5, 0.5}, Std: [3]float64{0.25, 0.25, 0.25}},
		"other": {Weights: hubViT(t, 1), Heads: 2},
		"mean":  {Weights: hubViT(t, 1), Mean: [3]float64{0.4, 0.5, 0.5}, Std: [3]float64{0.25, 0.25, 0.25}},
	} {
		opt := options(t)
		src.Features = "block1.tokens@16"
		if _, err := importer.ViT(src, opt); err != nil {
			t.Fatal(err)
		}
		b, err := models.Open(opt.Out)
		if err != nil {
			t.Fatal(err)
		}
		sums[name] = b.Files[models.EncoderFile].SHA256
	}
	if sums["one"] != sums["file"] || sums["one"] == sums["other"] || sums["one"] == sums["mean"] || sums["other"] == sums["mean"] {
		t.Errorf("checksums of the encoders %v", sums)
	}
}
