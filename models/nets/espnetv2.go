package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
)

// ESPNetV2 builds the encoder graph of an ESPNetv2 segmentation network from the authors' weights.
//
// The inputs and outputs are those of [EfficientViT]; the logits are the means of 4×4 of the network's, whose stride is 2. The
// graph resizes (bilinearly) and normalises the pictures.
func ESPNetV2(cfg ESPNetV2Config, weights checkpoint.Tensors) (*graph.Graph, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &espNet{layers: newLayers(weights, 0), cfg: cfg}
	e.build()
	if err := e.fault(); err != nil {
		return nil, fmt.Errorf("nets: espnetv2: %w", err)
	}
	return e.g, nil
}

type espNet struct {
	layers
	cfg     ESPNetV2Config
	pooled  *graph.Tensor // the picture at the stride of the last stage that asked for it
	strides int           // log₂ of that stride
}

// The dilations of a block's convolutions: wide where the resolution is high.
var (
	espWide   = []int{1, 2, 3, 4}
	espNarrow = []int{1, 1, 2, 3}
)

func (e *espNet) build() {
	const base = "base_net."
	e.pooled = e.without(imageMean)
	k := e.kernel(base+"level1.conv", base+"level1.bn", e.cfg.Widths[0], 3, 3, 1)
	k.divide(imageStd)
	x := e.prelu(base+"level1.act", e.apply(k, e.pooled, 2))
	e.taps["stage1"] = x
	for s := 2; s <= 4; s++ {
		level, width := fmt.Sprintf("%slevel%d", base, s), e.cfg.Widths[s-1]
		x = e.reduce(level+"_0.", x, width, s)
		dilations := espWide
		if s == 4 {
			dilations = espNarrow
		}
		for i := 0; s > 2 && i < e.cfg.Depths[s-3]; i++ {
			name := fmt.Sprintf("%s.%d.", level, i)
			x = e.prelu(name+"module_act", e.g.Add(e.branches(name, x, width, 1, dilations), x))
		}
		e.taps[fmt.Sprintf("stage%d", s)] = x
	}
	logits := e.decode(x)
	e.g.Output(e.features(e.cfg.features(), e.cfg.tapSize), "features")
	e.g.Output(logits, "logits")
	e.g.Output(e.g.Reduce("ReduceLogSumExp", logits, false, 1), "lse")
}

// reduce adds a block that halves the resolution: the means of 3×3 pixels and, beside them, the branches; to both, a map of the
// picture at the same resolution is added.
func (e *espNet) reduce(name string, x *graph.Tensor, width, stage int) *graph.Tensor {
	y := e.g.Concat(1, e.mean3(x), e.branches(name+"eesp.", x, width-channels(x), 2, espWide))
	e.used[name+"eesp.module_act.weight"] = true // stored, and not used
	for ; e.strides < stage; e.strides++ {
		e.pooled = e.mean3(e.pooled)
	}
	const in = 3
	k := e.kernel(name+"inp_reinf.0.conv", name+"inp_reinf.0.bn", in, in, 3, 1)
	k.divide(imageStd)
	z := e.prelu(name+"inp_reinf.0.act", e.apply(k, e.pooled, 1))
	z = e.apply(e.kernel(name+"inp_reinf.1.conv", name+"inp_reinf.1.bn", width, in, 1, 1), z, 1)
	return e.prelu(name+"act", e.g.Add(y, z))
}

// branches adds a projection to fewer channels, dilated depthwise convolutions of it side by side, each added to the one before,
// and a grouped 1×1 convolution of all of them.
func (e *espNet) branches(name string, x *graph.Tensor, out, stride int, dilations []int) *graph.Tensor {
	n := out / espBranches
	y := e.apply(e.kernel(name+"proj_1x1.conv", name+"proj_1x1.bn", n, channels(x), 1, espBranches), x, 1)
	y = e.prelu(name+"proj_1x1.act", y)
	all := make([]*graph.Tensor, len(dilations))
	for i, d := range dilations {
		all[i] = e.dilated(e.kernel(fmt.Sprintf("%sspp_dw.%d.conv", name, i), "", n, n, 3, n), y, stride, d)
		if i > 0 {
			all[i] = e.g.Add(all[i], all[i-1])
		}
	}
	y = e.prelu(name+"br_after_cat.act", e.norm(name+"br_after_cat.bn", e.g.Concat(1, all...)))
	return e.apply(e.kernel(name+"conv_1x1_exp.conv", name+"conv_1x1_exp.bn", out, out, 1, espBranches), y, 1)
}

// mean3 adds the means of 3×3 pixels at stride 2. Zeros beyond the border count.
func (e *espNet) mean3(x *graph.Tensor) *graph.Tensor {
	return e.g.Node("AveragePool", []*graph.Tensor{x}, e.halved(x), graph.Float32, graph.Ints("kernel_shape", 3, 3),
		graph.Ints("strides", 2, 2), graph.Ints("pads", 1, 1, 1, 1), graph.Int("count_include_pad", 1))
}

// prelu adds max(x, 0) + a·min(x, 0) with a slope a for each channel.
func (e *layers) prelu(name string, x *graph.Tensor) *graph.Tensor {
	n := channels(x)
	t := e.get(name+".weight", false, n)
	if t == nil || e.g.Err() != nil {
		return e.g.Fail(nil)
	}
	return e.g.Node("PRelu", []*graph.Tensor{x, e.g.Const(t.Data, int64(n), 1, 1)}, x.Shape, x.DType)
}

// norm adds BatchNorm that no convolution can take in.
func (e *layers) norm(name string, x *graph.Tensor) *graph.Tensor {
	ins, n := []*graph.Tensor{x}, channels(x)
	for _, part := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		t := e.get(name+part, false, n)
		if t == nil || e.g.Err() != nil {
			return e.g.Fail(nil)
		}
		ins = append(ins, e.g.Const(t.Data, int64(n)))
	}
	return e.g.Node("BatchNormalization", ins, x.Shape, x.DType, graph.Float("epsilon", float32(e.eps)))
}
