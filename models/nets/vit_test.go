package nets_test

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// vitGolden returns the outputs of small networks that testdata/vit_golden.py computed with PyTorch, and the weights of the
// denoisers or those of the encoders.
func vitGolden(t testing.TB, denoisers bool) (golden checkpoint.Tensors, weights map[string]checkpoint.Tensors) {
	t.Helper()
	return goldenOf(t, "vit", denoisers)
}

// goldenOf returns the outputs of the networks in a file of testdata, and their weights.
func goldenOf(t testing.TB, file string, denoisers bool) (golden checkpoint.Tensors, weights map[string]checkpoint.Tensors) {
	t.Helper()
	golden, meta, err := checkpoint.ReadSafetensors("testdata/" + file + "_golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	weights = map[string]checkpoint.Tensors{}
	for net, text := range meta {
		if strings.HasPrefix(net, "denoiser") != denoisers {
			continue
		}
		var shapes map[string][]int
		if err := json.Unmarshal([]byte(text), &shapes); err != nil {
			t.Fatal(err)
		}
		weights[net] = checkpoint.Tensors{}
		for name, shape := range shapes {
			weights[net][name] = madeUp(name, shape)
		}
	}
	return golden, weights
}

// madeUp computes weights by the formula of testdata/vit_golden.py.
func madeUp(name string, shape []int) *checkpoint.Tensor {
	n, fan := 1, 1
	for i, d := range shape {
		n *= d
		if i > 0 {
			fan *= d
		}
	}
	centre, spread := 0.0, 0.1
	switch {
	case len(shape) == 3 && shape[0] == 1:
		spread = 0.5
	case len(shape) > 1:
		spread = math.Sqrt(3 / float64(fan))
	case strings.HasSuffix(name, "running_var"):
		centre, spread = 1, 0.4
	case strings.HasSuffix(name, "gamma"), strings.HasSuffix(name, "lambda1"):
		centre, spread = 0.6, 0.3
	case strings.HasSuffix(name, "weight") && !strings.HasSuffix(name, "in_proj_weight"):
		centre, spread = 1, 0.2
	}
	t := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
	seed := crc32.ChecksumIEEE([]byte(name))
	for i := range t.Data {
		u := float64(uint32(i)*2654435761+seed) / (1 << 32)
		t.Data[i] = float32(centre + spread*(2*u-1))
	}
	return t
}

// inferTinyVit returns the configuration of a tiny network, which has four heads.
func inferTinyVit(t testing.TB, weights checkpoint.Tensors, head bool) nets.ViTConfig {
	t.Helper()
	infer := nets.InferViT
	if head {
		infer = nets.InferViTSegmenter
	}
	cfg, err := infer(weights)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Heads = 4
	if cfg.Head == nets.ViTSegmenter {
		cfg.HeadHeads = 2
	}
	return cfg
}

func vitEncoder(t testing.TB, cfg nets.ViTConfig, weights checkpoint.Tensors) *ort.Session {
	t.Helper()
	g, err := nets.ViT(cfg, weights)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	return open(t, raw, err)
}

// TestViTGolden compares features, logits and uncertainty with independent PyTorch runs in double precision: DINOv2 with and
// without registers, DeiT with two class tokens and ViTs of timm, by those packages; and the two networks of DOoD. One
// working size has more patches than the learned positions on both sides, one fewer.
func TestViTGolden(t *testing.T) { compareViT(t, "vit", 13) }

// TestViTGatedGolden does so with the perceptrons of DINOv2 g, by transformers and by timm, and TestDINOv3Golden with DINOv3's rotary
// positions. parity/vit.py and parity/dinov3.py have computed them.
func TestViTGatedGolden(t *testing.T) { compareViT(t, "vit_gated", 3) }

func TestDINOv3Golden(t *testing.T) { compareViT(t, "dinov3", 9) }

// compareViT compares the networks of a file with so many tensors each.
func compareViT(t *testing.T, file string, tensors int) {
	t.Helper()
	golden, all := goldenOf(t, file, false)
	for _, net := range slices.Sorted(maps.Keys(all)) {
		t.Run(net, func(t *testing.T) {
			weights := all[net]
			cfg := inferTinyVit(t, weights, net == "segmenter" || net == "setr")
			want := map[string][]string{} // tensors by size
			var taps []string
			for _, name := range golden.Names() {
				if part := strings.Split(name, "/"); part[0] == net { // network, size, tensor
					want[part[1]] = append(want[part[1]], part[2])
					if tap := fmt.Sprintf("%s@%d", part[2], cfg.Patch); part[2] != "logits" && part[2] != "lse" && !slices.Contains(taps, tap) {
						taps = append(taps, tap)
					}
				}
			}
			if len(want) != 2 || len(taps) != 1 && len(taps) != tensors {
				t.Fatalf("golden outputs %v", want)
			}
			cfg.Features = strings.Join(taps, ",")
			s := vitEncoder(t, cfg, weights)
			for size, names := range want {
				var w, h int
				if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
					t.Fatal(err)
				}
				got := encode(t, s, models.GoldenImage(w, h), h, w, h, w)
				for _, name := range names {
					output := got[name]
					var data []float32
					if output == nil {
						tap := slices.Index(taps, fmt.Sprintf("%s@%d", name, cfg.Patch))
						data = channelsOf(ort.Data[float32](got["features"]), cfg.Width, len(taps), tap)
					} else {
						data = ort.Data[float32](output)
					}
					name = strings.Join([]string{net, size, name}, "/")
					relative(t, name, every(data, max(1, len(data)/200)|1), golden[name].Data)
				}
			}
		})
	}
}

// channelsOf returns the channels of one tap of several.
func channelsOf(features []float32, width, taps, tap int) (out []float32) {
	for token := range slices.Chunk(features, width*taps) {
		out = append(out, token[width*tap:][:width]...)
	}
	return out
}

// Tensors of several blocks become one list of channels, at other strides too, and a picture has the same features and logits
// among others as alone.
func TestViTTaps(t *testing.T) {
	_, all := vitGolden(t, false)
	const n, h, w = 2, 40, 70
	pictures := noise(n * h * w * 3)
	for _, tt := range []struct {
		net, features    string
		channels, stride int
	}{
		{"segmenter", "", 64, 16},
		{"setr", "block0.values@16, block2.keys@16", 128, 16},
		{"vit-timm", "block1.tokens@32,norm@32,block2.queries@32", 96, 32},
		{"dinov2-reg-hf", "block2.keys@7,norm@7", 64, 7},
	} {
		cfg := inferTinyVit(t, all[tt.net], tt.net == "segmenter" || tt.net == "setr")
		if tt.features != "" {
			cfg.Features = tt.features
		}
		if cfg.Channels() != tt.channels || cfg.Stride() != tt.stride {
			t.Errorf("%s: %d channels at %d, want %d at %d", tt.net, cfg.Channels(), cfg.Stride(), tt.channels, tt.stride)
		}
		toH, toW := 2*cfg.Multiple(), 3*cfg.Multiple()
		s := vitEncoder(t, cfg, all[tt.net])
		together := encode(t, s, pictures, h, w, toH, toW)
		if got, want := together["features"].Shape(), []int64{n, int64(toH / tt.stride), int64(toW / tt.stride), int64(tt.channels)}; !slices.Equal(got, want) {
			t.Errorf("%s: shape %v, want %v", tt.net, got, want)
		}
		if logits := together["logits"]; cfg.Head != "" {
			want := []int64{n, int64(cfg.Classes), int64(toH / cfg.LogitsStride()), int64(toW / cfg.LogitsStride())}
			if !slices.Equal(logits.Shape(), want) {
				t.Errorf("%s: logits %v, want %v", tt.net, logits.Shape(), want)
			}
		}
		for i := range n {
			for name, x := range encode(t, s, pictures[i*h*w*3:][:h*w*3], h, w, toH, toW) {
				alone := ort.Data[float32](x)
				relative(t, fmt.Sprintf("%s, %s, picture %d", tt.net, name, i), ort.Data[float32](together[name])[i*len(alone):][:len(alone)], alone)
			}
		}
	}
}

// A backbone inside a classifier has the features of the backbone alone: the names have a prefix, and what lies outside is
// left out.
func TestViTInside(t *testing.T) {
	_, all := vitGolden(t, false)
	const h, w = 28, 42
	picture := noise(h * w * 3)
	inside := checkpoint.Tensors{"classifier.weight": madeUp("classifier.weight", []int{7, 64})}
	for name, x := range all["dinov2-hf"] {
		inside["dinov2."+name] = x
	}
	var got [2][]float32
	for i, weights := range []checkpoint.Tensors{all["dinov2-hf"], inside} {
		out := encode(t, vitEncoder(t, inferTinyVit(t, weights, false), weights), picture, h, w, h, w)
		got[i] = ort.Data[float32](out["features"])
	}
	if !slices.Equal(got[0], got[1]) || len(got[0]) != 2*3*32 {
		t.Errorf("%d features, %d inside a classifier, or others", len(got[0]), len(got[1]))
	}
}

func TestViTRefuses(t *testing.T) {
	_, all := vitGolden(t, false)
	tests := []struct {
		name, net string
		edit      func(*nets.ViTConfig, checkpoint.Tensors)
		want      string
	}{
		{"missing", "dinov2-hf", func(_ *nets.ViTConfig, ts checkpoint.Tensors) {
			delete(ts, "encoder.layer.1.mlp.fc1.weight")
		}, `no tensor "encoder.layer.1.mlp.fc1.weight"`},
		{"shape", "segmenter", func(_ *nets.ViTConfig, ts checkpoint.Tensors) {
			ts["decode_head.dec_proj.weight"] = madeUp("decode_head.dec_proj.weight", []int{64, 63})
		}, `tensor "decode_head.dec_proj.weight" has shape [64 63], want [64 64]`},
		{"another layer", "vit-timm", func(_ *nets.ViTConfig, ts checkpoint.Tensors) {
			ts["blocks.0.attn.q_norm.weight"] = madeUp("blocks.0.attn.q_norm.weight", []int{8})
		}, `does not use the weights "blocks.0.attn.q_norm.weight"`},
		{"another head", "setr", func(_ *nets.ViTConfig, ts checkpoint.Tensors) {
			ts["decode_head.up_convs.1.0.conv.weight"] = madeUp("x", []int{24, 24, 1, 1})
		}, `does not use the weights "decode_head.up_convs.1.0.conv.weight"`},
		{"heads", "vit-timm", func(c *nets.ViTConfig, _ checkpoint.Tensors) { c.Heads = 5 }, "got 5, want a divisor of the width 32"},
		{"block", "vit-timm", func(c *nets.ViTConfig, _ checkpoint.Tensors) { c.Features = "block3.keys@16" }, `got "block3.keys", want block0 to block2`},
		{"kind", "vit-timm", func(c *nets.ViTConfig, _ checkpoint.Tensors) { c.Features = "block2.key@16" }, `got "block2.key"`},
		{"stride", "vit-timm", func(c *nets.ViTConfig, _ checkpoint.Tensors) { c.Features = "block2.keys@24" }, "got block2.keys@24"},
		{"std", "vit-timm", func(c *nets.ViTConfig, _ checkpoint.Tensors) { c.Std[1] = 0 }, "vit.std"},
	}
	for _, tt := range tests {
		weights := maps.Clone(all[tt.net])
		cfg := inferTinyVit(t, weights, tt.net == "segmenter" || tt.net == "setr")
		cfg.Features = fmt.Sprintf("block2.tokens@%d", cfg.Patch)
		tt.edit(&cfg, weights)
		if _, err := nets.ViT(cfg, weights); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := nets.InferViT(checkpoint.Tensors{"x": {Name: "x"}}); err == nil || !strings.Contains(err.Error(), "not the weights of a plain vision transformer") {
		t.Errorf("other weights: %v", err)
	}
	if _, err := nets.InferViTSegmenter(all["dinov2-hf"]); err == nil || !strings.Contains(err.Error(), "no segmentation head") {
		t.Errorf("no head: %v", err)
	}
	twice := maps.Clone(all["dinov2-reg-timm"])
	for name, x := range all["dinov2-reg-timm"] {
		twice["student."+name] = x
	}
	if _, err := nets.InferViT(twice); err == nil || !strings.Contains(err.Error(), "holds 2 vision transformers") {
		t.Errorf("two networks: %v", err)
	}
	masked := maps.Clone(all["vit-timm"])
	masked["mask_token"] = madeUp("mask_token", []int{1, 32})
	if a, b := inferTinyVit(t, masked, false).Resample, inferTinyVit(t, all["vit-timm"], false).Resample; a != "bicubic" || b != "antialiased" {
		t.Errorf("positions of DINOv2 are resampled %s, those of timm %s", a, b)
	}
	odd := maps.Clone(all["vit-timm"])
	odd["pos_embed"] = madeUp("pos_embed", []int{1, 13, 32})
	if _, err := nets.InferViT(odd); err == nil || !strings.Contains(err.Error(), `"pos_embed" has 13 positions`) {
		t.Errorf("positions: %v", err)
	}
}

// TestDenoiserGolden compares scores with the denoisers and the normalisation of DOoD's reference implementation, in double
// precision. The weights are in the form of the older published files, which hold ranges of batches.
func TestDenoiserGolden(t *testing.T) {
	golden, all := vitGolden(t, true)
	timesteps := []int64{24, 0, 999, 99}
	for net, want := range map[string]models.DenoiserConfig{
		"denoiser-a": {Blocks: [3]int{6, 3, 6}, Time: models.TimeSinusoidal},
		"denoiser-b": {Blocks: [3]int{8, 4, 8}, Time: models.TimeScalar},
	} {
		weights := all[net]
		weights["normalization.mins"], weights["normalization.maxs"] = golden["denoiser/mins"], golden["denoiser/maxs"]
		cfg, used, err := nets.InferDenoiser(weights)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Channels != 256 || cfg.Blocks != want.Blocks || cfg.Time != want.Time {
			t.Errorf("%s: %+v", net, cfg)
		}
		model, err := nets.ScoringGraph(cfg, used, nets.ScoringOptions{})
		got := scores(t, open(t, model, err), 256, golden["denoiser/features"].Data, golden["denoiser/noise"].Data, timesteps)
		for i, step := range timesteps {
			name := fmt.Sprintf("%s/%d", net, step)
			relative(t, name, got[3*i:][:3], golden[name].Data)
		}
	}
}
