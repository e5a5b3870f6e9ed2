package importer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// defaultMultiple is the multiple of working sizes that a manifest need not state.
const defaultMultiple = 32

// ONNX imports any network from the ONNX file at path. It runs the network once to learn the shapes of its tensors, and
// then adds the inputs and outputs of an encoder. multiple must divide both sides of every working size. A network that takes
// one size only makes that the working size, if opt.Round is set. If the only output is no picture of class scores and cfg
// does not name it, the encoder knows features only.
func ONNX(path string, cfg nets.ForeignConfig, multiple int, opt Options) (_ *Result, err error) {
	n, err := opt.openONNX(path, cfg, multiple)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	return n.write(cfg)
}

// foreign is an ONNX file that is being imported.
type foreign struct {
	*source
	path     string
	opt      Options
	input    nets.ForeignInput
	multiple int
	fixed    bool // opt.Size is the only size
}

// openONNX reads the file at path and settles the working size. The caller closes the result.
func (o Options) openONNX(path string, cfg nets.ForeignConfig, multiple int) (_ *foreign, err error) {
	src, err := o.readONNX(path)
	if err != nil {
		return nil, err
	}
	n := &foreign{source: src, path: path, opt: o, multiple: multiple}
	if n.input, err = nets.ReadForeignInput(src.model, cfg); err == nil {
		err = n.settle()
	}
	if err != nil {
		return nil, errors.Join(badInput(path, err), src.close())
	}
	return n, nil
}

// settle makes the working size one that the network takes.
func (n *foreign) settle() error {
	only, size := n.input.Fixed, n.opt.Size
	if n.fixed = only != (models.Size{}); !n.fixed {
		return nil
	}
	if only.Width == 0 {
		only.Width = size.Width
	}
	if only.Height == 0 {
		only.Height = size.Height
	}
	if size != only && !n.opt.Round {
		return fmt.Errorf("the network takes pictures of %dx%d only: leave --size out, or export it with dynamic axes",
			only.Width, only.Height)
	}
	n.opt.Size, n.opt.Round = only, false
	n.multiple = min(defaultMultiple, only.Width, only.Height)
	for only.Width%n.multiple != 0 || only.Height%n.multiple != 0 {
		n.multiple--
	}
	return nil
}

// write probes the network and writes the bundle.
func (n *foreign) write(cfg nets.ForeignConfig) (*Result, error) {
	shape, before, err := n.probe(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Logits == "" && cfg.ClassLogits == "" && shape.Logits != nil && len(shape.Logits) != 4 {
		cfg.Logits, shape.Logits = nets.NoLogits, nil
	}
	model, layout, err := nets.Foreign(n.model, cfg, shape)
	if err != nil {
		return nil, badInput(n.path, err)
	}
	spec := models.EncoderSpec{
		Architecture: "onnx", Features: fmt.Sprintf("%s@%d", cfg.Features, layout.Stride), Channels: layout.Channels,
		Stride: layout.Stride, LogitsStride: layout.LogitsStride, Fixed: n.fixed,
	}
	if n.multiple != defaultMultiple {
		spec.Multiple = n.multiple
	}
	return n.opt.write(network{
		source: n.path, beside: n.beside, model: n.with(model), classes: layout.Classes, spec: spec,
		summary: strings.Join(n.summary(cfg, shape, layout, before), ", "),
	})
}

// summary describes what was found.
func (n *foreign) summary(cfg nets.ForeignConfig, s nets.ForeignShape, l nets.ForeignLayout, before string) []string {
	kind := l.Kind
	if l.Extra > 0 {
		kind += fmt.Sprintf(" without the first %d", l.Extra)
	}
	parts := []string{fmt.Sprintf("features %s (%s)", cfg.Features, kind)}
	if s.Logits != nil && before != "" {
		parts = append(parts, "class scores from before the "+before+" at its end")
	}
	if s.Logits != nil && s.Probabilities {
		parts = append(parts, "class scores are logarithms of its probabilities")
	}
	if n.fixed {
		parts = append(parts, fmt.Sprintf("%dx%d only", n.opt.Size.Width, n.opt.Size.Height))
	}
	return append(parts, fmt.Sprintf("%.1f MB", float64(n.size)/1e6))
}

// probe runs the network on the golden picture at the working size and returns the shapes of its tensors, and the type of the
// operator at its end in front of which the class scores are.
func (n *foreign) probe(cfg nets.ForeignConfig) (shape nets.ForeignShape, before string, err error) {
	shape = nets.ForeignShape{Height: n.opt.Size.Height, Width: n.opt.Size.Width, ChannelsLast: n.input.ChannelsLast}
	probe, t, err := nets.ForeignProbe(n.model, cfg)
	if err != nil {
		return shape, "", badInput(n.path, err)
	}
	out, err := n.once(probe)
	if err != nil {
		return shape, "", err
	}
	shape.Features, shape.Logits = out[t.Features].Shape, out[t.Logits].Shape
	shape.ClassLogits, shape.MaskLogits = out[t.ClassLogits].Shape, out[t.MaskLogits].Shape
	shape.Found, shape.Probabilities = t.Before != "", probabilities(out[t.Logits])
	return shape, t.Before, nil
}

// once runs a model with the network's weights on the golden picture.
func (n *foreign) once(model []byte) (out map[string]models.Output, err error) {
	err = n.opt.run(n.with(model), func(encode models.EncodeFunc) error {
		const width, height = 160, 100
		if out, err = encode(models.GoldenImage(width, height), width, height, n.opt.Size); err != nil {
			return badInput(n.path, fmt.Errorf("the network does not run at %dx%d (try --size): %w", n.opt.Size.Width,
				n.opt.Size.Height, err))
		}
		return nil
	})
	return out, hint(n.path, n.model, err)
}

// probabilities reports whether the values of [1,K,h,w] or [1,h,w,K] are those of a softmax: none is negative, and they sum
// to one in every place.
func probabilities(o models.Output) bool {
	if len(o.Shape) != 4 || len(o.Data) == 0 {
		return false
	}
	sum := 0.0
	for _, v := range o.Data {
		if v < 0 || v > 1.001 {
			return false
		}
		sum += float64(v)
	}
	for _, classes := range []int64{o.Shape[1], o.Shape[3]} {
		places := float64(len(o.Data)) / float64(classes)
		if classes > 1 && math.Abs(sum-places) < 1e-3*places {
			return true
		}
	}
	return false
}

// newestOpset is the newest operator set that every supported ONNX Runtime knows.
const newestOpset = 23

// hint adds to the runtime's reason what to do about a network that it does not run.
func hint(path string, model []byte, err error) error {
	var told *InputError
	if err == nil || errors.As(err, &told) {
		return err
	}
	m, parseErr := graph.Parse(model)
	if parseErr != nil {
		return err
	}
	why := ""
	if is := nets.Precision(m); is != graph.Float32 {
		why = fmt.Sprintf("computes in %s, for which ONNX Runtime lacks operators: export it in float32 (model.float())", is)
	}
	if op := ownOperator(m); op != "" {
		why = fmt.Sprintf("uses the operator %s, which ONNX Runtime does not have: export it with standard operators", op)
	}
	if n := m.Opsets()[""]; n > newestOpset {
		why = fmt.Sprintf("is of operator set %d, which may be too new: export it with %d or earlier", n, newestOpset)
	}
	if why == "" {
		return fmt.Errorf("import %q: %w", path, err)
	}
	return fmt.Errorf("import %q: the network %s: %w", path, why, err)
}

// ownOperator returns an operator that is neither standard nor one of the runtime's or the model's own, or "".
func ownOperator(m *graph.Model) string {
	own := m.Functions()
	for _, op := range m.Operators() {
		name := op.Domain + "." + op.Type
		switch op.Domain {
		case "", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc":
		default:
			if !slices.Contains(own, name) {
				return name
			}
		}
	}
	return ""
}
