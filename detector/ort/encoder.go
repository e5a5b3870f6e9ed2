package ort

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

var _ detector.BatchEncoder = (*Encoder)(nil)

// The inputs and outputs of encoders. Networks without classes lack logits and lse, others unclaimed or the masks.
var (
	encoderInputs  = []string{"image", "size"}
	encoderOutputs = []string{"features", "logits", "lse", "class_logits", "mask_logits", "unclaimed"}
)

// The indices of encoderOutputs.
const (
	outFeatures = iota
	outLogits
	outLSE
	outClassLogits
	outMaskLogits
	outUnclaimed
)

// Encoder runs an encoder graph, whose inputs and outputs are those of [models.EncoderSpec].
//
// An Encoder reuses its tensors and is not safe for concurrent use.
type Encoder struct {
	session  *Session
	in       []int // indices of image and size among the inputs
	out      []int // indices of encoderOutputs among the outputs; -1: the network lacks it
	batches  bool  // the graph takes several pictures at once
	size     *Tensor
	runs     []encoderRun // for the working size of the last frames
	pictures []*picture
	joined   []byte // the pictures of a run
}

// encoderRun holds the outputs for n pictures.
type encoderRun struct {
	n       int
	outputs []*Tensor
}

// NewEncoder prepares an encoder graph. The caller closes it.
func NewEncoder(model []byte, opts Options) (*Encoder, error) {
	s, err := NewSession(model, opts)
	if err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	e := &Encoder{session: s}
	if err := e.connect(names(s.Inputs()), names(s.Outputs())); err != nil {
		return nil, errors.Join(fmt.Errorf("encoder: %w", err), s.Close())
	}
	e.batches = len(s.Inputs()[e.in[0]].Shape) == 4
	return e, nil
}

// connect finds the inputs and outputs of an encoder among those of the graph.
func (e *Encoder) connect(inputs, outputs []string) error {
	at := func(have, want []string) []int {
		indices := make([]int, len(want))
		for i, name := range want {
			indices[i] = slices.Index(have, name)
		}
		return indices
	}
	e.in, e.out = at(inputs, encoderInputs), at(outputs, encoderOutputs)
	for _, name := range inputs {
		if !slices.Contains(encoderInputs, name) {
			return fmt.Errorf("the graph has an input %q, want only %v", name, encoderInputs)
		}
	}
	for _, name := range outputs {
		if !slices.Contains(encoderOutputs, name) {
			return fmt.Errorf("the graph has an output %q, want only some of %v", name, encoderOutputs)
		}
	}
	for i, name := range encoderInputs {
		if e.in[i] < 0 {
			return fmt.Errorf("the graph has no %q, only %v", name, inputs)
		}
	}
	if e.out[outFeatures] < 0 {
		return fmt.Errorf("the graph has no %q, only %v", encoderOutputs[outFeatures], outputs)
	}
	for _, pair := range [][2]int{{outLogits, outLSE}, {outClassLogits, outMaskLogits}, {outMaskLogits, outLogits}} {
		if a, b := pair[0], pair[1]; e.has(a) && !e.has(b) {
			return fmt.Errorf("the graph has %q without %q, only %v", encoderOutputs[a], encoderOutputs[b], outputs)
		}
	}
	if e.has(outLSE) && !e.has(outLogits) {
		return fmt.Errorf("the graph has %q without %q, only %v", encoderOutputs[outLSE], encoderOutputs[outLogits], outputs)
	}
	return nil
}

// has reports whether the graph has an output.
func (e *Encoder) has(output int) bool { return e.out[output] >= 0 }

// HasHeads reports whether encodings have what no class claims.
func (e *Encoder) HasHeads() bool { return e.has(outUnclaimed) }

// HasMasks reports whether encodings have class and mask logits.
func (e *Encoder) HasMasks() bool { return e.has(outClassLogits) }

// FeaturesOnly reports whether encodings have neither logits nor lse.
func (e *Encoder) FeaturesOnly() bool { return !e.has(outLogits) }

// Provider returns the provider in use.
func (e *Encoder) Provider() Provider { return e.session.Provider() }

// Note returns why the provider is not the requested one; empty if it is.
func (e *Encoder) Note() string { return e.session.Note() }

// Batches reports whether the network takes several pictures at once. If not, EncodeAll runs it on one after the other.
func (e *Encoder) Batches() bool { return e.batches }

// Encode runs the network on a frame at the working size. The result is valid until the next call.
func (e *Encoder) Encode(ctx context.Context, f *ingest.Frame, width, height int) (*detector.Encoding, error) {
	all, err := e.EncodeAll(ctx, []*ingest.Frame{f}, width, height)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// EncodeAll runs the network on frames at the working size. Frames of one size share a run; on a CPU, a run takes the
// number of frames that is fastest. The results are valid until the next call.
func (e *Encoder) EncodeAll(
	ctx context.Context, frames []*ingest.Frame, width, height int,
) ([]*detector.Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.resize(width, height); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	for len(e.pictures) < len(frames) {
		e.pictures = append(e.pictures, &picture{})
	}
	for i, f := range frames {
		e.pictures[i].shrink(f, width, height)
	}
	all := make([]*detector.Encoding, len(frames))
	for number, group := range e.groups(len(frames), width*height) {
		if err := e.run(number, group); err != nil {
			f := frames[group[0]]
			return nil, fmt.Errorf("encode %dx%d at %dx%d: %w", f.Width, f.Height, width, height, err)
		}
		for i, at := range group {
			enc, err := e.encoding(e.runs[number], i)
			if err != nil {
				return nil, err
			}
			p := e.pictures[at]
			p.guide = detector.GuideTo(p.guide, p.pix, p.w, p.h, enc.LogitsWidth, enc.LogitsHeight)
			enc.Guide, p.pix = p.guide, nil
			all[at] = enc
		}
	}
	return all, nil
}

// pixelsCPU is how many pixels at the working size one run takes on a CPU. With more, activations leave the cache: four
// frames together take 0.98 of the processor time of four frames alone at 256×128, but 1.20 at 512×256 and 1.27 at
// 1024×512 (default bundle).
const pixelsCPU = 1 << 17

// groups returns the indices of the first n pictures, grouped into runs at a working size of so many pixels.
func (e *Encoder) groups(n, pixels int) (groups [][]int) {
	most := n
	switch {
	case !e.batches:
		most = 1
	case e.Provider() == CPU:
		most = max(1, pixelsCPU/pixels)
	}
	for i, p := range e.pictures[:n] {
		at := slices.IndexFunc(groups, func(g []int) bool {
			first := e.pictures[g[0]]
			return len(g) < most && first.w == p.w && first.h == p.h
		})
		if at < 0 {
			groups = append(groups, []int{i})
		} else {
			groups[at] = append(groups[at], i)
		}
	}
	return groups
}

// run runs the network on a group of pictures of one size and keeps the outputs as e.runs[number].
func (e *Encoder) run(number int, group []int) error {
	first := e.pictures[group[0]]
	pix, shape := first.pix, []int64{int64(first.h), int64(first.w), 3}
	if len(group) > 1 {
		e.joined = e.joined[:0]
		for _, i := range group {
			e.joined = append(e.joined, e.pictures[i].pix...)
		}
		pix = e.joined
	}
	if e.batches {
		shape = slices.Insert(shape, 0, int64(len(group)))
	}
	image, err := NewTensor(shape, pix)
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }()
	if number == len(e.runs) {
		e.runs = append(e.runs, encoderRun{})
	}
	run := &e.runs[number]
	if run.n != len(group) {
		if err := run.close(); err != nil {
			return err
		}
		*run = encoderRun{n: len(group), outputs: make([]*Tensor, len(e.session.Outputs()))} // the session allocates the tensors
	}
	inputs := make([]*Tensor, 2)
	inputs[e.in[0]], inputs[e.in[1]] = image, e.size
	if err := e.session.Run(inputs, run.outputs); err != nil || !e.batches {
		return err
	}
	for i, t := range run.outputs {
		if s := t.Shape(); len(s) == 0 || s[0] != int64(run.n) {
			return fmt.Errorf("output %q of %d pictures has shape %v", e.session.Outputs()[i].Name, run.n, s)
		}
	}
	return nil
}

// resize frees the outputs of another working size; the next run allocates new ones.
func (e *Encoder) resize(width, height int) error {
	if width < 1 || height < 1 {
		return fmt.Errorf("working size %dx%d: want positive multiples of 32", width, height)
	}
	want := []int64{int64(height), int64(width)}
	if e.size != nil && slices.Equal(Data[int64](e.size), want) {
		return nil
	}
	err := e.release()
	if err != nil {
		return err
	}
	e.size, err = NewTensor([]int64{2}, want)
	return err
}

func (e *Encoder) release() error {
	err := e.size.Close()
	for i := range e.runs {
		err = errors.Join(err, e.runs[i].close())
	}
	e.size, e.runs = nil, nil
	return err
}

func (r *encoderRun) close() error {
	var err error
	for _, t := range r.outputs {
		err = errors.Join(err, t.Close())
	}
	return err
}

// output returns an output of a run for its picture i, and the dimensions of that output for one picture.
func (e *Encoder) output(r encoderRun, number, i int) ([]float32, []int64) {
	t := r.outputs[e.out[number]]
	data, shape := Data[float32](t), t.Shape()
	if e.batches {
		shape = shape[1:]
	}
	size := len(data) / r.n
	return data[i*size:][:size:size], shape
}

// encoding returns the encoding of picture i of a run.
func (e *Encoder) encoding(r encoderRun, i int) (*detector.Encoding, error) {
	features, fs := e.output(r, outFeatures, i)
	size := Data[int64](e.size)
	if len(fs) != 3 || fs[0] < 1 || fs[1] < 1 {
		return nil, fmt.Errorf("encode: got features %v, want [h w C]", fs)
	}
	enc := &detector.Encoding{Height: int(fs[0]), Width: int(fs[1]), Channels: int(fs[2]), Features: features}
	if e.FeaturesOnly() {
		cell := int64(models.MapStride(int(size[0] / fs[0])))
		enc.LogitsHeight, enc.LogitsWidth = int(size[0]/cell), int(size[1]/cell)
	} else {
		logits, ls := e.output(r, outLogits, i)
		lse, us := e.output(r, outLSE, i)
		if len(ls) != 3 || len(us) != 2 || ls[1] != us[0] || ls[2] != us[1] {
			return nil, fmt.Errorf("encode: got logits %v and lse %v, want [K lh lw] and [lh lw]", ls, us)
		}
		enc.Classes, enc.LogitsHeight, enc.LogitsWidth, enc.Logits, enc.LSE = int(ls[0]), int(ls[1]), int(ls[2]), logits, lse
	}
	if e.has(outUnclaimed) {
		unclaimed, us := e.output(r, outUnclaimed, i)
		if len(us) != 2 || int(us[0]) != enc.LogitsHeight || int(us[1]) != enc.LogitsWidth {
			return nil, fmt.Errorf("encode: got unclaimed %v, want [%d %d]", us, enc.LogitsHeight, enc.LogitsWidth)
		}
		enc.Unclaimed = unclaimed
	}
	if !e.HasMasks() {
		return enc, nil
	}
	classes, cs := e.output(r, outClassLogits, i)
	masks, ms := e.output(r, outMaskLogits, i)
	if len(cs) != 2 || len(ms) != 3 || cs[0] != ms[0] || cs[1] < 2 {
		return nil, fmt.Errorf("encode: got class_logits %v and mask_logits %v, want [Q K+1] and [Q h w]", cs, ms)
	}
	enc.Queries, enc.MaskHeight, enc.MaskWidth = int(cs[0]), int(ms[1]), int(ms[2])
	enc.ClassLogits, enc.MaskLogits = classes, masks
	return enc, nil
}

// Close frees the session and its tensors. It may be called more than once.
func (e *Encoder) Close() error { return errors.Join(e.release(), e.session.Close()) }
