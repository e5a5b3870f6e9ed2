package importer_test

import (
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// shapes are the names and shapes of a network's weights.
type shapes map[string][]int

// linear adds a layer; more are the dimensions of its kernel.
func (s shapes) linear(name string, out, in int, more ...int) {
	s[name+".weight"], s[name+".bias"] = append([]int{out, in}, more...), []int{out}
}

// norm adds a normalisation.
func (s shapes) norm(name string, width int) {
	s[name+".weight"], s[name+".bias"] = []int{width}, []int{width}
}

// write writes weights that are all different, so that no two tensors are stored once, and returns the size of the file.
func (s shapes) write(t *testing.T, path string) int64 {
	t.Helper()
	ts := checkpoint.Tensors{}
	for name, shape := range s {
		n, fan, state := 1, 1, crc32.ChecksumIEEE([]byte(name))
		for i, d := range shape {
			n *= d
			if i > 0 {
				fan *= d
			}
		}
		x := &checkpoint.Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
		scale, shift := float32(1/math.Sqrt(float64(fan))), float32(0)
		if len(shape) == 1 {
			scale = 0.1
		}
		if len(shape) == 1 && strings.HasSuffix(name, ".weight") || strings.HasSuffix(name, "_var") {
			shift = 1
		}
		for i := range x.Data {
			state = state*1664525 + 1013904223
			x.Data[i] = shift + scale*(float32(state>>8)/(1<<23)-1)
		}
		ts[name] = x
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.WriteSafetensors(f, ts, nil); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// segFormerFiles writes a SegFormer of the given widths and depths into a folder, as transformers saves it.
func segFormerFiles(t *testing.T, dir string, widths, depths [4]int, head int) int64 {
	t.Helper()
	s, in := shapes{}, 3
	for i, w := range widths {
		stage := fmt.Sprintf("segformer.encoder.patch_embeddings.%d.", i)
		kernel := []int{7, 3, 3, 3}[i]
		s.linear(stage+"proj", w, in, kernel, kernel)
		s.norm(stage+"layer_norm", w)
		s.norm(fmt.Sprintf("segformer.encoder.layer_norm.%d", i), w)
		for j := range depths[i] {
			block := fmt.Sprintf("segformer.encoder.block.%d.%d.", i, j)
			s.norm(block+"layer_norm_1", w)
			s.norm(block+"layer_norm_2", w)
			for _, name := range []string{"self.query", "self.key", "self.value", "output.dense"} {
				s.linear(block+"attention."+name, w, w)
			}
			if ratio := 8 >> i; ratio > 1 {
				s.linear(block+"attention.self.sr", w, w, ratio, ratio)
				s.norm(block+"attention.self.layer_norm", w)
			}
			s.linear(block+"mlp.dense1", 4*w, w)
			s.linear(block+"mlp.dwconv.dwconv", 4*w, 1, 3, 3)
			s.linear(block+"mlp.dense2", w, 4*w)
		}
		s.linear(fmt.Sprintf("decode_head.linear_c.%d.proj", i), head, w)
		in = w
	}
	s["decode_head.linear_fuse.weight"] = []int{head, 4 * head, 1, 1}
	s.norm("decode_head.batch_norm", head)
	s["decode_head.batch_norm.running_mean"], s["decode_head.batch_norm.running_var"] = []int{head}, []int{head}
	s.linear("decode_head.classifier", 19, head, 1, 1)
	size := s.write(t, filepath.Join(dir, "model.safetensors"))
	heads := "[1,2,5,8]"
	if widths[2]%5 != 0 {
		heads = "[1,2,2,4]"
	}
	config := fmt.Sprintf(`{"model_type":"segformer","architectures":["SegformerForSemanticSegmentation"],"hidden_sizes":[%d,%d,%d,%d],
		"depths":[%d,%d,%d,%d],"num_attention_heads":%s,"decoder_hidden_size":%d}`, widths[0], widths[1], widths[2], widths[3],
		depths[0], depths[1], depths[2], depths[3], heads, head)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return size
}

// doodFiles writes a Segmenter and a denoiser of the given width under mmsegmentation's names, and returns their paths and sizes.
func doodFiles(t *testing.T, dir string, width, depth int) (paths string, size int64) {
	t.Helper()
	const classes = 19
	s := shapes{
		"backbone.cls_token": {1, 1, width}, "backbone.pos_embed": {1, 48*48 + 1, width}, "decode_head.cls_emb": {1, classes, width},
		"decode_head.patch_proj.weight": {width, width}, "decode_head.classes_proj.weight": {width, width},
	}
	s.linear("backbone.patch_embed.projection", width, 3, 16, 16)
	s.norm("backbone.ln1", width)
	block := func(name string) {
		s.norm(name+"ln1", width)
		s.norm(name+"ln2", width)
		s[name+"attn.attn.in_proj_weight"], s[name+"attn.attn.in_proj_bias"] = []int{3 * width, width}, []int{3 * width}
		s.linear(name+"attn.attn.out_proj", width, width)
		s.linear(name+"ffn.layers.0.0", 4*width, width)
		s.linear(name+"ffn.layers.1", width, 4*width)
	}
	for i := range depth {
		block(fmt.Sprintf("backbone.layers.%d.", i))
	}
	for i := range 2 {
		block(fmt.Sprintf("decode_head.layers.%d.", i))
	}
	s.linear("decode_head.dec_proj", width, width)
	s.norm("decode_head.decoder_norm", width)
	s.norm("decode_head.mask_norm", classes)
	d := shapes{"normalization.mins": {1, width}, "normalization.maxs": {1, width}}
	for _, p := range nets.DenoiserParams(models.DenoiserConfig{Channels: width, Blocks: [3]int{6, 3, 6}, Time: models.TimeSinusoidal}) {
		d[p.Name] = p.Shape
	}
	segm, diff := filepath.Join(dir, "segm.safetensors"), filepath.Join(dir, "diff.safetensors")
	return segm + " " + diff, s.write(t, segm) + d.write(t, diff)
}
