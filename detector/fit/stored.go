package fit

import (
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// storedFeatures is the header of features.bin. The lists after it are the sample, and then the features, the uncertainty,
// the colours, what no class claims and the speeds of each kept frame: of Held, of Probes, of Spare, of Looks and of Trained.
type storedFeatures struct {
	Key                                        string
	Complete                                   bool
	Index, Encoded, Stride, Training, HeldBack int
	Channels, Limit, Seen, Window              int
	Looked, Candidates                         int
	Held, Probes, Spare, Looks, Trained        []frameSize
	Pasted                                     []pastedFrame   // of Probes
	Times                                      []time.Duration // times of Held
}

// frameSize holds the sizes of a kept frame's grids.
type frameSize struct {
	Width, Height, Channels, LogitsWidth, LogitsHeight, Classes, MotionWidth, MotionHeight int
}

// kept is the number of lists of a kept frame.
const kept = 5

func sizes(list []detector.Encoding) []frameSize {
	out := make([]frameSize, len(list))
	for i, e := range list {
		out[i] = frameSize{e.Width, e.Height, e.Channels, e.LogitsWidth, e.LogitsHeight, e.Classes, e.Motion.Width, e.Motion.Height}
	}
	return out
}

func writeFeatures(path, key string, c *collected, complete bool) error {
	h := storedFeatures{
		Key: key, Complete: complete, Index: c.Index, Encoded: c.Encoded, Stride: c.Stride, Training: c.Training,
		HeldBack: c.HeldBack, Channels: c.Sample.channels, Limit: c.Sample.limit, Seen: c.Sample.seen, Window: c.Sample.window,
		Held: sizes(c.Held), Probes: sizes(c.Probes), Spare: sizes(c.Spare), Times: c.Times, Pasted: c.Pasted,
		Looks: sizes(c.Looks), Trained: sizes(c.Trained), Looked: c.Looked, Candidates: c.Candidates,
	}
	lists := [][]float32{c.Sample.data}
	for _, group := range [][]detector.Encoding{c.Held, c.Probes, c.Spare, c.Looks, c.Trained} {
		for _, e := range group {
			lists = append(lists, e.Features, e.LSE, e.Guide, e.Unclaimed, e.Motion.Values)
		}
	}
	return writeState(path, h, lists...)
}

func readFeatures(path, key string) (c *collected, complete bool, err error) {
	var h storedFeatures
	lists, err := readState(path, &h)
	if err != nil {
		return nil, false, err
	}
	frames := len(h.Held) + len(h.Probes) + len(h.Spare) + len(h.Looks) + len(h.Trained)
	if h.Key != key || len(lists) != 1+kept*frames || len(h.Times) != len(h.Held) ||
		len(h.Pasted) != len(h.Probes) {
		return nil, false, fmt.Errorf("%w: %s belongs to another fit", errState, path)
	}
	c = &collected{
		Index: h.Index, Encoded: h.Encoded, Stride: h.Stride, Training: h.Training, HeldBack: h.HeldBack,
		Times: h.Times, Pasted: h.Pasted, Looked: h.Looked, Candidates: h.Candidates,
		Sample: sample{channels: h.Channels, limit: h.Limit, seen: h.Seen, window: h.Window, data: lists[0]},
	}
	lists = lists[1:]
	take := func(s frameSize) (e detector.Encoding, err error) {
		e = detector.Encoding{
			Width: s.Width, Height: s.Height, Channels: s.Channels, Features: lists[0],
			LogitsWidth: s.LogitsWidth, LogitsHeight: s.LogitsHeight, Classes: s.Classes, LSE: lists[1],
			Guide: lists[2], Unclaimed: lists[3],
			Motion: detector.Speeds{Width: s.MotionWidth, Height: s.MotionHeight, Values: lists[4]},
		}
		cells := s.LogitsWidth * s.LogitsHeight
		if len(e.Features) != s.Width*s.Height*s.Channels || len(e.Guide) != 3*cells ||
			len(e.LSE) != cells && (s.Classes > 0 || len(e.LSE) > 0) ||
			len(e.Unclaimed) != cells && len(e.Unclaimed) > 0 || len(e.Motion.Values) != s.MotionWidth*s.MotionHeight {
			err = fmt.Errorf("%w: %s: frame of the wrong size", errState, path)
		}
		lists = lists[kept:]
		return e, err
	}
	for _, group := range []struct {
		sizes []frameSize
		into  *[]detector.Encoding
	}{{h.Held, &c.Held}, {h.Probes, &c.Probes}, {h.Spare, &c.Spare}, {h.Looks, &c.Looks}, {h.Trained, &c.Trained}} {
		for _, size := range group.sizes {
			e, err := take(size)
			if err != nil {
				return nil, false, err
			}
			*group.into = append(*group.into, e)
		}
	}
	return c, h.Complete, nil
}

// storedWeights is the header of training.bin. The lists after it are the parameters and both moments.
type storedWeights struct {
	Key  string
	Step int
	Loss float64
}

func writeWeights(path, key string, w *weights) error {
	return writeState(path, storedWeights{key, w.Step, w.Loss}, w.params, w.m, w.v)
}

func readWeights(path, key string, size int) (weights, error) {
	var h storedWeights
	lists, err := readState(path, &h)
	if err != nil {
		return weights{}, err
	}
	if h.Key != key || len(lists) != 3 || len(lists[0]) != size || len(lists[1]) != size || len(lists[2]) != size {
		return weights{}, fmt.Errorf("%w: %s belongs to another fit", errState, path)
	}
	return weights{Step: h.Step, Loss: h.Loss, params: lists[0], m: lists[1], v: lists[2]}, nil
}
