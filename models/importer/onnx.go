package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// defaultMultiple is the multiple of working sizes that a manifest need not state.
const defaultMultiple = 32

// ONNX imports any network from the ONNX file at path. It runs the network once to learn the shapes of its tensors, and
// then adds the inputs and outputs of an encoder. multiple must divide both sides of every working size. If the only output
// is no picture of class scores and cfg does not name it, the encoder knows features only.
func ONNX(path string, cfg nets.ForeignConfig, multiple int, opt Options) (_ *Result, err error) {
	src, err := opt.readONNX(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	shape, err := opt.probe(path, src.weighted, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Logits == "" && cfg.ClassLogits == "" && shape.Logits != nil && len(shape.Logits) != 4 {
		cfg.Logits, shape.Logits = nets.NoLogits, nil
	}
	model, layout, err := nets.Foreign(src.model, cfg, shape)
	if err != nil {
		return nil, badInput(path, err)
	}
	spec := models.EncoderSpec{
		Architecture: "onnx", Features: fmt.Sprintf("%s@%d", cfg.Features, layout.Stride), Channels: layout.Channels,
		Stride: layout.Stride, LogitsStride: layout.LogitsStride,
	}
	if multiple != defaultMultiple {
		spec.Multiple = multiple
	}
	return opt.write(network{
		source: path, beside: src.beside, model: src.with(model), classes: layout.Classes, spec: spec,
		summary: fmt.Sprintf("features %s (%s), %.1f MB", cfg.Features, layout.Kind, float64(src.size)/1e6),
	})
}

// probe runs the network on the golden picture at the working size and returns the shapes of its tensors.
func (o Options) probe(path string, src weighted, cfg nets.ForeignConfig) (nets.ForeignShape, error) {
	shape := nets.ForeignShape{Height: o.Size.Height, Width: o.Size.Width}
	probe, t, err := nets.ForeignProbe(src.model, cfg)
	if err != nil {
		return shape, badInput(path, err)
	}
	err = o.run(src.with(probe), func(encode models.EncodeFunc) error {
		const width, height = 160, 100
		out, err := encode(models.GoldenImage(width, height), width, height, o.Size)
		if err != nil {
			return badInput(path, fmt.Errorf("the network does not run at %dx%d (try --size): %w", o.Size.Width,
				o.Size.Height, err))
		}
		shape.Features, shape.Logits = out[t.Features].Shape, out[t.Logits].Shape
		shape.ClassLogits, shape.MaskLogits = out[t.ClassLogits].Shape, out[t.MaskLogits].Shape
		return nil
	})
	return shape, precisionHint(path, src.model, err)
}

// precisionHint adds to the runtime's reason what to do about a network that does not compute in float32.
func precisionHint(path string, model []byte, err error) error {
	var told *InputError
	if err == nil || errors.As(err, &told) {
		return err
	}
	m, parseErr := graph.Parse(model)
	if parseErr != nil {
		return err
	}
	if is := nets.Precision(m); is != graph.Float32 {
		return fmt.Errorf("import %q: the network computes in %s, for which ONNX Runtime lacks operators: export it in float32 "+
			"(model.float()): %w", path, is, err)
	}
	return err
}
