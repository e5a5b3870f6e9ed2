package main

import (
	"fmt"
	"os"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// ImportONNXCmd makes an encoder of any segmentation network that was exported to ONNX.
type ImportONNXCmd struct {
	Model    string `arg:"" name:"file" help:"ONNX file, operator set 13 or later, weights inside." placeholder:"FILE"`
	Features string `required:"" help:"Tensor that holds the features: [1,C,h,w], [1,h,w,C] or tokens [1,N,C]." placeholder:"TENSOR"`
	Logits   string `help:"Tensor with the class scores before softmax, [1,K,h,w]; the only output, or made from the masks, if absent." placeholder:"TENSOR"`

	ClassLogits string `help:"Mask-classification networks: tensor with the classes of the queries, [1,Q,K+1]." placeholder:"TENSOR"`
	MaskLogits  string `help:"Mask-classification networks: tensor with the masks of the queries, [1,Q,h,w]." placeholder:"TENSOR"`

	Input    string    `help:"Tensor for the picture, float32 [1,3,H,W]; the only input if absent." placeholder:"TENSOR"`
	Mean     []float64 `help:"Mean of red, green, blue, of pixels scaled to 0..1; ImageNet's if absent." placeholder:"R,G,B"`
	Std      []float64 `help:"Deviation of red, green, blue; ImageNet's if absent." placeholder:"R,G,B"`
	Multiple int       `default:"32" help:"What both sides of a working size must be multiples of."`
	importFlags
}

// Run finds out the shapes by running the network once, puts reading and writing around it, and writes the bundle.
func (c *ImportONNXCmd) Run(e *env) error {
	raw, err := os.ReadFile(c.Model)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	cfg := nets.ForeignConfig{
		Input: c.Input, Logits: c.Logits, Features: c.Features, ClassLogits: c.ClassLogits, MaskLogits: c.MaskLogits,
	}
	if len(c.Mean) != len(c.Std) || len(c.Mean) != 0 && len(c.Mean) != 3 {
		return usagef("--mean and --std: want three numbers each, or none")
	}
	copy(cfg.Mean[:], c.Mean)
	copy(cfg.Std[:], c.Std)
	size, err := c.size()
	if err != nil {
		return err
	}
	shape, err := c.probe(raw, cfg, size)
	if err != nil {
		return err
	}
	model, layout, err := nets.Foreign(raw, cfg, shape)
	if err != nil {
		return usagef("import %q: %w", c.Model, err)
	}
	m, err := c.manifest(layout.Classes)
	if err != nil {
		return err
	}
	m.Encoder.Architecture = "onnx"
	m.Encoder.Features = fmt.Sprintf("%s@%d", c.Features, layout.Stride)
	m.Encoder.Channels = layout.Channels
	m.Encoder.Stride = layout.Stride
	m.Encoder.LogitsStride = layout.LogitsStride
	if c.Multiple != 32 {
		m.Encoder.Multiple = c.Multiple
	}
	return c.write(e, m, c.Model, model, fmt.Sprintf("features %s (%s), %.1f MB", c.Features, layout.Kind,
		float64(len(raw))/1e6))
}

// probe runs the network on the golden picture at the working size and returns the shapes.
func (c *ImportONNXCmd) probe(raw []byte, cfg nets.ForeignConfig, size models.Size) (nets.ForeignShape, error) {
	shape := nets.ForeignShape{Height: size.Height, Width: size.Width}
	probe, t, err := nets.ForeignProbe(raw, cfg)
	if err != nil {
		return shape, usagef("import %q: %w", c.Model, err)
	}
	rt, err := ort.Open(c.Library)
	if err != nil {
		return shape, err
	}
	defer func() { _ = rt.Close() }()
	s, err := ort.NewSession(probe, ort.Options{})
	if err != nil {
		return shape, err
	}
	defer func() { _ = s.Close() }()
	const width, height = 160, 100
	out, err := encodeWith(s)(models.GoldenImage(width, height), width, height, size)
	if err != nil {
		return shape, usagef("import %q: the network does not run at %dx%d (try --size): %w", c.Model, size.Width,
			size.Height, err)
	}
	shape.Features, shape.Logits = out[t.Features].Shape, out[t.Logits].Shape
	shape.ClassLogits, shape.MaskLogits = out[t.ClassLogits].Shape, out[t.MaskLogits].Shape
	return shape, nil
}
