package nets_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// timmLite gives weights of the PyTorch port the names of timm, whose numbers of blocks begin anew in each stage.
func timmLite(weights checkpoint.Tensors, depths []int) checkpoint.Tensors {
	out, n := checkpoint.Tensors{}, 0
	for _, pair := range [][2]string{{"_conv_stem.", "conv_stem."}, {"_bn0.", "bn1."}, {"_conv_head.", "conv_head."}, {"_bn1.", "bn2."}, {"_fc.", "classifier."}} {
		for name, w := range weights {
			if rest, ok := strings.CutPrefix(name, pair[0]); ok {
				out[pair[1]+rest] = w
			}
		}
	}
	for stage, depth := range depths {
		names := [][2]string{{"_expand_conv", "conv_pw"}, {"_bn0", "bn1"}, {"_depthwise_conv", "conv_dw"}, {"_bn1", "bn2"}, {"_project_conv", "conv_pwl"}, {"_bn2", "bn3"}}
		if stage == 0 {
			names = [][2]string{{"_depthwise_conv", "conv_dw"}, {"_bn1", "bn1"}, {"_project_conv", "conv_pw"}, {"_bn2", "bn2"}}
		}
		for block := range depth {
			for name, w := range weights {
				for _, pair := range names {
					if rest, ok := strings.CutPrefix(name, fmt.Sprintf("_blocks.%d.%s.", n, pair[0])); ok {
						out[fmt.Sprintf("blocks.%d.%d.%s.%s", stage, block, pair[1], rest)] = w
					}
				}
			}
			n++
		}
	}
	return out
}

// Weights under timm's names make the same network, for pixels that are scaled to -1..1.
func TestEfficientNetLiteTimm(t *testing.T) {
	build := func(weights checkpoint.Tensors, edit func(*nets.EfficientNetLiteConfig)) []byte {
		cfg, err := nets.InferEfficientNetLite(weights)
		if err != nil {
			t.Fatal(err)
		}
		edit(&cfg)
		g, err := nets.EfficientNetLite(cfg, weights, nets.LiteCompanions{})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tiny := tinyLite()
	ours := tinyLiteWeights(tiny)
	theirs := timmLite(ours, tiny.Depths)
	if len(theirs) != len(ours) {
		t.Fatalf("%d of %d weights have a name", len(theirs), len(ours))
	}
	got := build(theirs, func(*nets.EfficientNetLiteConfig) {})
	want := build(ours, func(c *nets.EfficientNetLiteConfig) { c.Middle, c.Span = 127.5, 127.5 })
	if !slices.Equal(got, want) {
		t.Error("the network of timm's names differs")
	}
}
