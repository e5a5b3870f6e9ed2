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

// The inputs and outputs of encoders, the outputs of those without classes, and the further outputs of
// mask-classification networks.
var (
	encoderInputs  = []string{"image", "size"}
	encoderOutputs = []string{"features", "logits", "lse"}
	featureOutputs = encoderOutputs[:1]
	maskOutputs    = []string{"class_logits", "mask_logits"}
)

// Encoder runs an encoder graph. The inputs are image uint8[H,W,3] and size int64[2]; the outputs are features
// float32[h,w,C], logits float32[K,lh,lw] and lse float32[lh,lw], and for a mask-classification network class_logits
// float32[Q,K+1] and mask_logits float32[Q,mh,mw]. In a graph that takes several pictures at once, all of them but size
// have N as a further, first dimension. A network without classes has the output features alone.
//
// An Encoder reuses its tensors and is not safe for concurrent use.
type Encoder struct {
	session  *Session
	in       []int // indices of image and size among the inputs
	out      []int
	batches  bool // the graph takes several pictures at once
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
	want := encoderOutputs
	switch n := len(s.Outputs()); {
	case n > len(want):
		want = slices.Concat(encoderOutputs, maskOutputs)
	case n == len(featureOutputs):
		want = featureOutputs
	}
	if e.in, err = positions(names(s.Inputs()), encoderInputs); err == nil {
		e.out, err = positions(names(s.Outputs()), want)
	}
	if err == nil && (len(s.Inputs()) != len(e.in) || len(s.Outputs()) != len(e.out)) {
		err = fmt.Errorf("got %d inputs and %d outputs, want only %v and %v", len(s.Inputs()), len(s.Outputs()),
			encoderInputs, want)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("encoder: %w", err), s.Close())
	}
	e.batches = len(s.Inputs()[e.in[0]].Shape) == 4
	return e, nil
}

// positions returns the index of each wanted name.
func positions(have, want []string) ([]int, error) {
	at := make([]int, len(want))
	for i, name := range want {
		if at[i] = slices.Index(have, name); at[i] < 0 {
			return nil, fmt.Errorf("the graph has no %q, only %v", name, have)
		}
	}
	return at, nil
}

// HasMasks reports whether encodings have class and mask logits.
func (e *Encoder) HasMasks() bool { return len(e.out) > len(encoderOutputs) }

// FeaturesOnly reports whether encodings have neither logits nor lse.
func (e *Encoder) FeaturesOnly() bool { return len(e.out) == len(featureOutputs) }

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
		*run = encoderRun{n: len(group), outputs: make([]*Tensor, len(e.out))} // the session allocates the tensors
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
	features, fs := e.output(r, 0, i)
	if e.FeaturesOnly() {
		return e.featuresOnly(features, fs)
	}
	logits, ls := e.output(r, 1, i)
	lse, us := e.output(r, 2, i)
	if len(fs) != 3 || len(ls) != 3 || len(us) != 2 || ls[1] != us[0] || ls[2] != us[1] {
		return nil, fmt.Errorf("encode: got features %v, logits %v, lse %v, want [h w C], [K lh lw], [lh lw]", fs, ls, us)
	}
	enc := &detector.Encoding{
		Height: int(fs[0]), Width: int(fs[1]), Channels: int(fs[2]), Features: features,
		Classes: int(ls[0]), LogitsHeight: int(ls[1]), LogitsWidth: int(ls[2]), Logits: logits, LSE: lse,
	}
	if !e.HasMasks() {
		return enc, nil
	}
	classes, cs := e.output(r, 3, i)
	masks, ms := e.output(r, 4, i)
	if len(cs) != 2 || len(ms) != 3 || cs[0] != ms[0] || cs[1] < 2 {
		return nil, fmt.Errorf("encode: got class_logits %v and mask_logits %v, want [Q K+1] and [Q h w]", cs, ms)
	}
	enc.Queries, enc.MaskHeight, enc.MaskWidth = int(cs[0]), int(ms[1]), int(ms[2])
	enc.ClassLogits, enc.MaskLogits = classes, masks
	return enc, nil
}

// featuresOnly returns the encoding of a picture by a network without classes.
func (e *Encoder) featuresOnly(features []float32, shape []int64) (*detector.Encoding, error) {
	size := Data[int64](e.size)
	if len(shape) != 3 || shape[0] < 1 || shape[1] < 1 {
		return nil, fmt.Errorf("encode: got features %v, want [h w C]", shape)
	}
	cell := int64(models.MapStride(int(size[0] / shape[0])))
	return &detector.Encoding{
		Height: int(shape[0]), Width: int(shape[1]), Channels: int(shape[2]), Features: features,
		LogitsHeight: int(size[0] / cell), LogitsWidth: int(size[1] / cell),
	}, nil
}

// Close frees the session and its tensors. It may be called more than once.
func (e *Encoder) Close() error { return errors.Join(e.release(), e.session.Close()) }
