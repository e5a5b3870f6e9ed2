package nets

import (
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// ForeignConfig describes how any segmentation network in ONNX becomes an encoder.
type ForeignConfig struct {
	// Input is the tensor for the picture, [1,3,H,W] of any floating-point type; empty if the model has only one input.
	Input string
	// Logits is the tensor with the class scores before softmax, [1,K,h,w], or [NoLogits]. It is empty if the model has
	// only one output, or if ClassLogits and MaskLogits are given: then the scores are Σ softmax(class logits)·sigmoid(mask
	// logits) over the queries, as in MaskFormer. If the only output is the features, there are no class scores.
	Logits string
	// ClassLogits and MaskLogits are the tensors of a mask-classification network: [1,Q,K+1], where the last class is "no
	// object", and [1,Q,h,w]. Both or neither are given.
	ClassLogits, MaskLogits string
	// Features is the tensor with the features: [1,C,h,w], [1,h,w,C], or tokens [1,N,C], of which the last h·w are the
	// picture row by row (class tokens come first).
	Features string
	// Mean and Std normalise each channel of the picture, scaled to 0..1. A zero Std stands for ImageNet's statistics.
	Mean, Std [3]float64
}

// NoLogits is the value of [ForeignConfig.Logits] for a network whose class scores do not exist or are not wanted. The
// encoder then has the output features alone.
const NoLogits = "none"

// The names of the tensors between the parts of a foreign encoder.
const (
	foreignPicture  = "oodcast_picture"
	foreignSize     = "oodcast_size"
	foreignFeatures = "oodcast_features"
	foreignLogits   = "oodcast_logits"
	foreignClasses  = "oodcast_class_logits"
	foreignMasks    = "oodcast_mask_logits"
	foreignGrid     = "oodcast_grid"
	foreignPrefix   = "net." // before all names of the network, which may have its own "image" or "features"
)

// ForeignTensors are the names that the tensors of a [ForeignConfig] have in the probe; empty for tensors that the network
// does not have.
type ForeignTensors struct {
	Features, Logits, ClassLogits, MaskLogits string
}

// list returns the names that are not empty.
func (t ForeignTensors) list() []string {
	return slices.DeleteFunc([]string{t.Features, t.Logits, t.ClassLogits, t.MaskLogits},
		func(name string) bool { return name == "" })
}

// ForeignProbe returns a model with the inputs of an encoder and the tensors of cfg as outputs. Running it reveals the
// shapes that [Foreign] needs.
func ForeignProbe(model []byte, cfg ForeignConfig) (probe []byte, t ForeignTensors, err error) {
	m, t, err := foreignFront(model, cfg)
	if err != nil {
		return nil, t, err
	}
	if err := m.KeepOutputs(t.list()...); err != nil {
		return nil, t, fmt.Errorf("nets: %w", err)
	}
	return m.Marshal(), t, nil
}

// foreignFront puts the model that reads the picture in front of the user's model and makes the tensors of cfg outputs.
func foreignFront(model []byte, cfg ForeignConfig) (*graph.Model, ForeignTensors, error) {
	wrap := func(err error) (*graph.Model, ForeignTensors, error) {
		return nil, ForeignTensors{}, fmt.Errorf("nets: foreign model: %w", err)
	}
	user, err := graph.Parse(model)
	if err != nil {
		return wrap(err)
	}
	input, err := choose(cfg.Input, "input", user.Inputs())
	if err != nil {
		return wrap(err)
	}
	t, err := cfg.tensors(user)
	if err != nil {
		return wrap(err)
	}
	if err := t.tap(user); err != nil {
		return wrap(err)
	}
	takes, err := pictureType(user, input)
	if err != nil {
		return wrap(err)
	}
	if err := user.Prefix(foreignPrefix); err != nil {
		return wrap(err)
	}
	for _, name := range []*string{&t.Features, &t.Logits, &t.ClassLogits, &t.MaskLogits} {
		if *name != "" {
			*name = foreignPrefix + *name
		}
	}
	front, err := cfg.picture(user.Opsets()[""], takes)
	if err != nil {
		return wrap(err)
	}
	m, err := graph.Merge(front, user, map[string]string{foreignPicture: foreignPrefix + input})
	if err != nil {
		return wrap(err)
	}
	return m, t, nil
}

// tensors returns the names of the tensors in the user's model.
func (cfg ForeignConfig) tensors(user *graph.Model) (t ForeignTensors, err error) {
	t = ForeignTensors{cfg.Features, cfg.Logits, cfg.ClassLogits, cfg.MaskLogits}
	if t.Features == "" {
		return t, errors.New("name the tensor that holds the features")
	}
	if (t.ClassLogits == "") != (t.MaskLogits == "") {
		return t, errors.New("name both the class logits and the mask logits, or neither")
	}
	if t.Logits == NoLogits && t.ClassLogits != "" {
		return t, errors.New("class logits and mask logits make class scores: leave one of them and \"none\" out")
	}
	if outputs := user.Outputs(); t.Logits == "" && t.ClassLogits == "" {
		if len(outputs) != 1 {
			_, err := choose("", "output", outputs)
			return t, fmt.Errorf("%w as the class scores (--logits), or --logits %s", err, NoLogits)
		}
		t.Logits = outputs[0].Name
	}
	if t.Logits == t.Features || t.Logits == NoLogits {
		t.Logits = ""
	}
	return t, nil
}

// picture returns the model that reads and normalises a picture. Its inputs are those of an encoder.
func (cfg ForeignConfig) picture(opset int64, takes graph.DType) (*graph.Model, error) {
	g := graph.New(graph.Float32)
	image, size := g.Input("image", graph.Uint8, -1, -1, 3), g.Input("size", graph.Int64, 2)
	x := resample(g, g.Unsqueeze(g.Transpose(image, 2, 0, 1), 0), size) // one picture: the network may not take more
	mean, std := cfg.Mean, cfg.Std
	if std == ([3]float64{}) {
		mean, std = imageMean, imageStd
	}
	var shift, scale []float64
	for c := range 3 {
		shift = append(shift, 255*mean[c])
		scale = append(scale, 255*std[c])
	}
	x = g.Div(g.Sub(x, g.Const64(shift, 1, 3, 1, 1)), g.Const64(scale, 1, 3, 1, 1))
	g.Output(g.Cast(x, takes), foreignPicture)
	g.Output(size, foreignSize)
	return asModel(g, opset)
}

// asModel turns g into a model of the given operator set. The operators used here mean the same from version 13 on.
func asModel(g *graph.Graph, opset int64) (*graph.Model, error) {
	raw, err := g.Marshal()
	if err != nil {
		return nil, err
	}
	m, err := graph.Parse(raw)
	if err != nil {
		return nil, err
	}
	if opset < 13 {
		return nil, fmt.Errorf("operator set %d is too old: export with 13 or later", opset)
	}
	m.SetOpset(opset)
	return m, nil
}

// choose returns name or, if it is empty, the name of the only value.
func choose(name, what string, values []graph.Value) (string, error) {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Name
	}
	if name == "" && len(names) == 1 {
		return names[0], nil
	}
	if name == "" || what == "input" && !slices.Contains(names, name) {
		return "", fmt.Errorf("got %s %q, want one of %q", what, name, names)
	}
	return name, nil
}
