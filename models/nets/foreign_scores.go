package nets

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models/graph"
)

// tensors returns the names of the tensors in the user's model.
func (cfg ForeignConfig) tensors(user *graph.Model) (t ForeignTensors, err error) {
	t = ForeignTensors{Features: cfg.Features, Logits: cfg.Logits, ClassLogits: cfg.ClassLogits, MaskLogits: cfg.MaskLogits}
	if t.Features == "" {
		return t, errors.New("name the tensor that holds the features")
	}
	if (t.ClassLogits == "") != (t.MaskLogits == "") {
		return t, errors.New("name both the class logits and the mask logits, or neither")
	}
	if t.Logits == NoLogits && t.ClassLogits != "" {
		return t, errors.New("class logits and mask logits make class scores: leave one of them and \"none\" out")
	}
	switch {
	case t.Logits == "" && t.ClassLogits == "":
		if err := t.mainOutput(user); err != nil {
			return t, err
		}
	case t.Logits != "" && t.Logits != NoLogits:
		if before, end := decided(user, t.Logits); end != "" {
			return t, fmt.Errorf("%q comes out of %s, and the scores before it are wanted: --logits %q", t.Logits, end, before)
		}
	}
	if t.Logits == t.Features || t.Logits == NoLogits {
		t.Logits, t.Before = "", ""
	}
	for _, name := range t.list() {
		if kind := user.KindOf(name); kind != "" {
			return t, fmt.Errorf("%q is no tensor but of the type %s: name a tensor", name, kind)
		}
	}
	return t, nil
}

// mainOutput takes the only output but those of auxiliary heads for the class scores, in front of what decides by them or
// enlarges them.
func (t *ForeignTensors) mainOutput(user *graph.Model) error {
	outputs := user.Outputs()
	main := slices.DeleteFunc(slices.Clone(outputs), func(v graph.Value) bool {
		return strings.Contains(strings.ToLower(v.Name), "aux")
	})
	if len(main) != 1 {
		main = outputs
	}
	name, err := choose("", "output", main)
	if err != nil {
		return fmt.Errorf("%w as the class scores (--logits), or --logits %s", err, NoLogits)
	}
	t.Logits = name
	if name == t.Features {
		return nil
	}
	before, end := decided(user, name)
	if end == "" {
		before, end = name, ""
	}
	if small := unscaled(user, before); small != "" {
		before = small
		if end == "" {
			end = "Resize"
		}
	}
	if before != t.Features {
		t.Logits, t.Before = before, end
	}
	return nil
}

// producers maps tensors to the operators that make them.
func producers(m *graph.Model) map[string]graph.Operator {
	by := map[string]graph.Operator{}
	for _, op := range m.Operators() {
		for _, o := range op.Outputs {
			by[o] = op
		}
	}
	return by
}

// decided follows a tensor back through operators that move values or change their type and returns what goes into the one
// that decides by class scores, and its type, such as Softmax or ArgMax; end is "" if there is none.
func decided(m *graph.Model, tensor string) (before, end string) {
	by := producers(m)
	for range by {
		op, ok := by[tensor]
		if !ok || len(op.Inputs) == 0 {
			return "", ""
		}
		switch op.Type {
		case "Softmax", "LogSoftmax", "Hardmax", "ArgMax", "Sigmoid", "TopK":
			return op.Inputs[0], op.Type
		case "Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose", "Resize", "Upsample", "Dropout":
			tensor = op.Inputs[0]
		default:
			return "", ""
		}
	}
	return "", ""
}

// unscaled follows a tensor back to what goes into the Resize that makes it, or returns "".
func unscaled(m *graph.Model, tensor string) string {
	by := producers(m)
	small := ""
	for range by {
		op, ok := by[tensor]
		if !ok || len(op.Inputs) == 0 {
			break
		}
		switch op.Type {
		case "Resize", "Upsample":
			tensor = op.Inputs[0]
			small = tensor
		case "Identity", "Cast", "Transpose":
			tensor = op.Inputs[0]
		default:
			return small
		}
	}
	return small
}
