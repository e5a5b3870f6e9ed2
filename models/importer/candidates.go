package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// mostCandidates is how many tensors are tried at most.
const mostCandidates = 12

// Candidate is a tensor of a network that may serve as features, and an encoder that has it as its features.
type Candidate struct {
	nets.ForeignCandidate
	Spec models.EncoderSpec // of the encoder, which knows no classes
}

// Candidates finds the tensors of the network in the ONNX file at path that may serve as features, a dozen at most, in the
// order of the file. It calls try for each with a function that runs the encoder, valid until try returns. A nil try is not
// called. Nothing is written: opt.Out only says where copies of heavy weights lie meanwhile.
func Candidates(
	path string, cfg nets.ForeignConfig, multiple int, opt Options, try func(Candidate, models.EncodeFunc) error,
) (_ []Candidate, err error) {
	n, err := opt.openONNX(path, cfg, multiple)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	found, shape, err := n.candidates(cfg)
	if err != nil {
		return nil, err
	}
	list := make([]Candidate, len(found))
	for i, c := range found {
		list[i] = Candidate{c, models.EncoderSpec{
			Architecture: "onnx", Features: fmt.Sprintf("%s@%d", c.Name, c.Stride), Channels: c.Channels, Stride: c.Stride,
			LogitsStride: models.MapStride(c.Stride), Size: n.opt.Size, Multiple: n.multiple, Fixed: n.fixed,
		}}
		if try == nil {
			continue
		}
		one := cfg
		one.Features, one.Logits, one.ClassLogits, one.MaskLogits = c.Name, nets.NoLogits, "", ""
		shape.Features = c.Shape
		model, _, err := nets.Foreign(n.model, one, shape)
		if err != nil {
			return nil, badInput(path, err)
		}
		if err := n.opt.run(n.with(model), func(encode models.EncodeFunc) error { return try(list[i], encode) }); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// candidates runs the network once to learn the shapes of its tensors and chooses among them.
func (n *foreign) candidates(cfg nets.ForeignConfig) ([]nets.ForeignCandidate, nets.ForeignShape, error) {
	shape := nets.ForeignShape{Height: n.opt.Size.Height, Width: n.opt.Size.Width, ChannelsLast: n.input.ChannelsLast}
	probe, list, outputs, err := nets.ForeignShapes(n.model, cfg)
	if err != nil {
		return nil, shape, badInput(n.path, err)
	}
	out, err := n.once(probe)
	if err != nil {
		return nil, shape, err
	}
	for i := range list {
		for _, d := range out[outputs[i]].Data {
			list[i].Shape = append(list[i].Shape, int64(d))
		}
	}
	found := nets.ChooseCandidates(list, shape, mostCandidates)
	if len(found) == 0 {
		return nil, shape, badInput(n.path, fmt.Errorf("none of its %d tensors is a grid of stride 4 to 32 at %dx%d: choose a "+
			"working size that its strides divide (--size), or name one (--features)", len(list), n.opt.Size.Width, n.opt.Size.Height))
	}
	return found, shape, nil
}
