package ort

import (
	"errors"
	"slices"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// EncodePicture runs an encoder graph on one packed RGB picture at a working size and returns copies of its outputs. If
// the graph takes several pictures, the outputs lose their first dimension. EncodePicture is a [models.EncodeFunc]. It is
// slower than an [Encoder] but accepts any outputs, such as those of a network that is being imported.
func (s *Session) EncodePicture(
	rgb []uint8, width, height int, size models.Size,
) (_ map[string]models.Output, err error) {
	shape := []int64{int64(height), int64(width), 3}
	several := slices.ContainsFunc(s.inputs, func(v graph.Value) bool { return v.Name == "image" && len(v.Shape) == 4 })
	if several {
		shape = slices.Insert(shape, 0, 1)
	}
	image, err := NewTensor(shape, rgb)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	working, err := NewTensor([]int64{2}, []int64{int64(size.Height), int64(size.Width)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, working.Close()) }()
	tensors, err := s.Eval(map[string]*Tensor{"image": image, "size": working})
	if err != nil {
		return nil, err
	}
	out := make(map[string]models.Output, len(tensors))
	for name, t := range tensors {
		shape := slices.Clone(t.Shape())
		if several && len(shape) > 0 {
			shape = shape[1:]
		}
		out[name] = models.Output{Shape: shape, Data: slices.Clone(Data[float32](t))}
		err = errors.Join(err, t.Close())
	}
	return out, err
}

// Runner runs encoder graphs that are needed only once. It implements importer.Runner. The zero value uses the library
// that [Find] finds and computes on the CPU.
type Runner struct {
	Library string // path of the ONNX Runtime library; "" = the one that Find finds
	Options Options
}

// Run opens the runtime and a session of model, calls f with the session's [Session.EncodePicture], and closes both.
func (r Runner) Run(model []byte, f func(models.EncodeFunc) error) error {
	return r.with(model, func(s *Session) error { return f(s.EncodePicture) })
}

// RunBeside is [Runner.Run] for a model that keeps weights in files of a folder, with one copy of them in memory.
func (r Runner) RunBeside(model []byte, folder string, f func(models.EncodeFunc) error) error {
	r.Options.Weights = folder
	return r.Run(model, f)
}

// with opens the runtime and a session for the duration of f.
func (r Runner) with(model []byte, f func(*Session) error) error {
	rt, err := Open(r.Library)
	if err != nil {
		return err
	}
	defer func() { _ = rt.Close() }()
	s, err := NewSession(model, r.Options)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return f(s)
}

// GoldenCheck is the result of [Runner.CheckGolden].
type GoldenCheck struct {
	Provider   Provider // computed the outputs
	Note       string   // why the provider is not the requested one; empty if it is
	Difference float64  // largest difference, as a share of an output's root mean square
}

// gpuSlack widens the tolerance of golden outputs: GPUs multiply with 10 bits of mantissa (TF32) unless told otherwise.
const gpuSlack = 10

// CheckGolden computes the golden outputs of a bundle and compares them with golden.json. It returns nil without an
// error if the bundle has no golden.json.
func (r Runner) CheckGolden(b *models.Bundle) (*GoldenCheck, error) {
	g, err := b.Golden()
	if err != nil || g == nil {
		return nil, err
	}
	model, err := b.Encoder()
	if err != nil {
		return nil, err
	}
	c := &GoldenCheck{}
	err = r.with(model, func(s *Session) (err error) {
		c.Provider, c.Note = s.Provider(), s.Note()
		slack := 1.0
		if c.Provider != CPU {
			slack = gpuSlack
		}
		c.Difference, err = g.Check(s.EncodePicture, slack)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
