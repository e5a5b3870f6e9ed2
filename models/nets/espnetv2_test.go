package nets_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// TestESPNetV2Golden compares all outputs with those of the authors' program, in double precision, at two sizes; one is so small that
// the pyramid's smallest scales are five cells.
func TestESPNetV2Golden(t *testing.T) {
	golden, all := goldenNetworks(t, "espnetv2_golden.safetensors")
	for _, name := range golden.Names() {
		part := strings.Split(name, "/") // network, size, tensor
		var w, h int
		if _, err := fmt.Sscanf(part[1], "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		cfg, err := nets.InferESPNetV2(all[part[0]])
		if err != nil {
			t.Fatal(err)
		}
		output, stride, width := "logits", nets.LogitsStride, cfg.Classes
		if part[2] != output {
			cfg.Features, output = part[2], "features"
			stride, width = cfg.Stride(), cfg.Channels()
		}
		g, err := nets.ESPNetV2(cfg, all[part[0]])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := g.Marshal()
		out := encode(t, open(t, raw, err), models.GoldenImage(w, h), h, w, h, w)
		want := []int64{1, int64(h / stride), int64(w / stride), int64(width)}
		if output == "logits" {
			want = []int64{1, int64(width), int64(h / stride), int64(w / stride)}
			checkLSE(t, name, out)
		}
		if got := out[output].Shape(); !slices.Equal(got, want) {
			t.Errorf("%s has shape %v, want %v", name, got, want)
		}
		data := ort.Data[float32](out[output])
		relative(t, name, every(data, max(1, len(data)/200)|1), golden[name].Data)
	}
	if len(golden) != 16 {
		t.Errorf("%d slices, want 16", len(golden))
	}
}

func TestESPNetV2Refuses(t *testing.T) {
	_, all := goldenNetworks(t, "espnetv2_golden.safetensors")
	one := func(name string, shape ...int) checkpoint.Tensors {
		return checkpoint.Tensors{name: &checkpoint.Tensor{Name: name, Shape: shape}}
	}
	for _, tt := range []struct {
		name, features string
		edit           func(checkpoint.Tensors)
		want           string
	}{
		{"another network", "", func(ts checkpoint.Tensors) { clear(ts); maps.Copy(ts, one("x.y")) }, `"base_net.level1.conv.weight" is missing; the file holds ["x.y"]`},
		{"a classifier", "", func(ts checkpoint.Tensors) {
			maps.DeleteFunc(ts, func(n string, _ *checkpoint.Tensor) bool { return !strings.HasPrefix(n, "base_net.") })
		}, "espnetv2.decoder_widths: got [0 0 0]"},
		{"widths", "", func(ts checkpoint.Tensors) { maps.Copy(ts, one("base_net.level4_0.act.weight", 60)) }, "espnetv2.widths: got [16 32 64 60], want growing multiples of 4"},
		{"a slope", "", func(ts checkpoint.Tensors) { delete(ts, "base_net.level3.1.module_act.weight") }, "does not use the weights"},
		{"statistics", "", func(ts checkpoint.Tensors) { delete(ts, "bu_br_l3.0.running_mean") }, `no tensor "bu_br_l3.0.running_mean"`},
		{"more", "", func(ts checkpoint.Tensors) { maps.Copy(ts, one("base_net.level5.0.act.weight", 4)) }, `does not use the weights "base_net.level5.0.act.weight"`},
		{"tap", "decoder4@2", nil, `espnetv2.features: got "decoder4", want stage1 to stage4 or decoder1 to decoder3`},
		{"stride", "stage3@12", nil, "espnetv2.features: got stage3@12, want stride 2, 4, 8, 16 or 32"},
	} {
		weights := maps.Clone(all["small"])
		if tt.edit != nil {
			tt.edit(weights)
		}
		cfg, err := nets.InferESPNetV2(weights)
		if err == nil {
			cfg.Features = tt.features
			_, err = nets.ESPNetV2(cfg, weights)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
