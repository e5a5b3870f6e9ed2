package ort

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

var _ detector.Encoder = (*Encoder)(nil)

// The inputs and outputs that every encoder has, and the outputs that mask-classification networks have too.
var (
	encoderInputs  = []string{"image", "size"}
	encoderOutputs = []string{"features", "logits", "lse"}
	maskOutputs    = []string{"class_logits", "mask_logits"}
)

// Encoder runs an encoder graph: image uint8[H,W,3] and size int64[2] in, features float32[h,w,C], logits
// float32[K,lh,lw] and lse float32[lh,lw] out, and, of a mask-classification network, class_logits float32[Q,K+1] and
// mask_logits float32[Q,mh,mw]. It reuses its tensors and is not safe for concurrent use.
type Encoder struct {
	session *Session
	in      []int // where image and size are among the inputs
	out     []int
	size    *Tensor
	outputs []*Tensor // for the working size of the last frame
	shrunk  []byte
	guide   []float32
	result  detector.Encoding
}

// NewEncoder prepares an encoder graph. The caller closes it.
func NewEncoder(model []byte, opts Options) (*Encoder, error) {
	s, err := NewSession(model, opts)
	if err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	e := &Encoder{session: s}
	want := encoderOutputs
	if len(s.Outputs()) > len(want) {
		want = slices.Concat(encoderOutputs, maskOutputs)
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
	return e, nil
}

// positions finds each wanted name.
func positions(have, want []string) ([]int, error) {
	at := make([]int, len(want))
	for i, name := range want {
		if at[i] = slices.Index(have, name); at[i] < 0 {
			return nil, fmt.Errorf("the graph has no %q, only %v", name, have)
		}
	}
	return at, nil
}

// HasMasks reports that encodings have class and mask logits.
func (e *Encoder) HasMasks() bool { return len(e.out) > len(encoderOutputs) }

// Provider returns what really computes.
func (e *Encoder) Provider() Provider { return e.session.Provider() }

// Note says why the provider is not the one that was asked for; empty when it is.
func (e *Encoder) Note() string { return e.session.Note() }

// Encode runs the network on a frame at the working size. The result is valid until the next call.
func (e *Encoder) Encode(ctx context.Context, f *ingest.Frame, width, height int) (*detector.Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pix, w, h := e.shrink(f, width, height)
	image, err := NewTensor([]int64{int64(h), int64(w), 3}, pix)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	defer func() { _ = image.Close() }()
	if err := e.resize(width, height); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	inputs := make([]*Tensor, 2)
	inputs[e.in[0]], inputs[e.in[1]] = image, e.size
	if err := e.session.Run(inputs, e.outputs); err != nil {
		return nil, fmt.Errorf("encode %dx%d at %dx%d: %w", f.Width, f.Height, width, height, err)
	}
	enc, err := e.encoding()
	if err != nil {
		return nil, err
	}
	e.guide = detector.GuideTo(e.guide, pix, w, h, enc.LogitsWidth, enc.LogitsHeight)
	enc.Guide = e.guide
	return enc, nil
}

// resize drops the outputs of another working size; the next run allocates new ones.
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
	e.outputs = make([]*Tensor, len(e.out))
	e.size, err = NewTensor([]int64{2}, want)
	return err
}

func (e *Encoder) release() error {
	err := e.size.Close()
	for _, t := range e.outputs {
		err = errors.Join(err, t.Close())
	}
	e.size, e.outputs = nil, nil
	return err
}

func (e *Encoder) encoding() (*detector.Encoding, error) {
	features, logits, lse := e.outputs[e.out[0]], e.outputs[e.out[1]], e.outputs[e.out[2]]
	fs, ls, us := features.Shape(), logits.Shape(), lse.Shape()
	if len(fs) != 3 || len(ls) != 3 || len(us) != 2 || ls[1] != us[0] || ls[2] != us[1] {
		return nil, fmt.Errorf("encode: got features %v, logits %v, lse %v, want [h w C], [K lh lw], [lh lw]", fs, ls, us)
	}
	e.result = detector.Encoding{
		Height: int(fs[0]), Width: int(fs[1]), Channels: int(fs[2]), Features: Data[float32](features),
		Classes: int(ls[0]), LogitsHeight: int(ls[1]), LogitsWidth: int(ls[2]),
		Logits: Data[float32](logits), LSE: Data[float32](lse),
	}
	if !e.HasMasks() {
		return &e.result, nil
	}
	classes, masks := e.outputs[e.out[3]], e.outputs[e.out[4]]
	cs, ms := classes.Shape(), masks.Shape()
	if len(cs) != 2 || len(ms) != 3 || cs[0] != ms[0] || cs[1] < 2 {
		return nil, fmt.Errorf("encode: got class_logits %v and mask_logits %v, want [Q K+1] and [Q h w]", cs, ms)
	}
	e.result.Queries, e.result.MaskHeight, e.result.MaskWidth = int(cs[0]), int(ms[1]), int(ms[2])
	e.result.ClassLogits, e.result.MaskLogits = Data[float32](classes), Data[float32](masks)
	return &e.result, nil
}

// shrink averages whole blocks of pixels of a frame that is at least twice the working size: the graph's bilinear resize
// reads four pixels and would skip the others.
func (e *Encoder) shrink(f *ingest.Frame, width, height int) (pix []byte, w, h int) {
	k := min(f.Width/max(1, width), f.Height/max(1, height))
	if k < 2 {
		return f.Pix, f.Width, f.Height
	}
	w, h = f.Width/k, f.Height/k
	if cap(e.shrunk) < 3*w*h {
		e.shrunk = make([]byte, 3*w*h)
	}
	e.shrunk = e.shrunk[:3*w*h]
	sums := make([]uint32, 3*w)
	for y := range h {
		clear(sums)
		for dy := range k {
			row := f.Pix[3*f.Width*(y*k+dy):][:3*w*k]
			addBlocks(sums, row, k)
		}
		out := e.shrunk[3*w*y:][:3*w]
		n := uint32(k * k)
		for i, s := range sums {
			out[i] = byte((s + n/2) / n)
		}
	}
	return e.shrunk, w, h
}

// addBlocks adds each run of k RGB pixels of row to one RGB sum.
func addBlocks(sums []uint32, row []byte, k int) {
	for x := 0; x < len(sums); x += 3 {
		block := row[x*k:][:3*k]
		var r, g, b uint32
		for i := 0; i+2 < len(block); i += 3 {
			r += uint32(block[i])
			g += uint32(block[i+1])
			b += uint32(block[i+2])
		}
		sums[x] += r
		sums[x+1] += g
		sums[x+2] += b
	}
}

// Close frees the session and its tensors. It may be called more than once.
func (e *Encoder) Close() error { return errors.Join(e.release(), e.session.Close()) }
