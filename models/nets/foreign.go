package nets

import (
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// ForeignConfig describes how any segmentation network in ONNX becomes an encoder.
type ForeignConfig struct {
	// Input is the tensor for the picture, [1,3,H,W] or [1,H,W,3] of any floating-point type or bytes; empty if the model has
	// only one input.
	Input string
	// Order of the picture's dimensions is [OrderNCHW], [OrderNHWC], or empty: as the model declares them, else NCHW.
	Order string
	// Logits is the tensor with the class scores before softmax, [1,K,h,w] or in another layout of the features, or
	// [NoLogits]. It is empty if the model has only one output besides those of auxiliary heads: then the scores are what
	// goes into the softmax, the decision or the enlargement at its end. It is also empty if ClassLogits and MaskLogits are given: then the scores are Σ softmax(class logits)·sigmoid(mask
	// logits) over the queries, as in MaskFormer. If the only output is the features, there are no class scores.
	Logits string
	// ClassLogits and MaskLogits are the tensors of a mask-classification network: [1,Q,K+1], where the last class is "no
	// object", and [1,Q,h,w]. Both or neither are given.
	ClassLogits, MaskLogits string
	// Features is the tensor with the features: [1,C,h,w], [1,h,w,C], or tokens [1,N,C], [N,C], [1,C,N] or, by attention
	// heads, [1,a,N,C/a]. The last h·w tokens are the picture row by row (class and register tokens come first).
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
	// Before is the type of the operator at the network's end in front of which the logits were found, such as ArgMax or
	// Resize; empty if they are an output, or named.
	Before string
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
	if name, op := user.Training(); op != "" {
		return wrap(fmt.Errorf("the %s %q is in training mode: export it after model.eval()", op, name))
	}
	user.HideWeights()
	in, err := cfg.input(user)
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
	if err := user.Upgrade(); err != nil {
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
	front, err := cfg.picture(user.Opsets()[""], in)
	if err != nil {
		return wrap(err)
	}
	m, err := graph.Merge(front, user, map[string]string{foreignPicture: foreignPrefix + in.Name})
	if err != nil {
		return wrap(err)
	}
	return m, t, nil
}

// asModel turns g into a model of the given operator set, 13 or later: the operators used here mean the same from there on.
func asModel(g *graph.Graph, opset int64) (*graph.Model, error) {
	raw, err := g.Marshal()
	if err != nil {
		return nil, err
	}
	m, err := graph.Parse(raw)
	if err != nil {
		return nil, err
	}
	m.SetOpset(opset)
	return m, nil
}
