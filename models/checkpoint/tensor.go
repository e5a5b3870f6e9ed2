package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
)

// ErrFormat means that a file is truncated, damaged, of another format, or holds something other than tensors. It is
// normal to see it for files that users bring.
var ErrFormat = errors.New("checkpoint: bad file")

// Tensor is one named array of weights.
type Tensor struct {
	// Name is the key under which the file holds it, for instance "denoiser.time_embed.0.weight".
	Name string
	// Shape lists the dimensions, outermost first; empty for a scalar.
	Shape []int
	// Data holds the values row-major; its length is the product of Shape.
	Data []float32
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return len(t.Data) }

// Tensors maps names to tensors.
type Tensors map[string]*Tensor

// Names returns the names in ascending order.
func (ts Tensors) Names() []string { return slices.Sorted(maps.Keys(ts)) }

// Params returns the number of elements of all tensors together.
func (ts Tensors) Params() int {
	n := 0
	for _, t := range ts {
		n += len(t.Data)
	}
	return n
}

// Get returns the named tensor and checks its shape; -1 in shape accepts any size.
func (ts Tensors) Get(name string, shape ...int) (*Tensor, error) {
	t, ok := ts[name]
	if !ok {
		return nil, fmt.Errorf("checkpoint: no tensor %q", name)
	}
	if len(t.Shape) != len(shape) {
		return nil, fmt.Errorf("checkpoint: tensor %q has shape %v, want %v", name, t.Shape, shape)
	}
	for i, d := range shape {
		if d >= 0 && d != t.Shape[i] {
			return nil, fmt.Errorf("checkpoint: tensor %q has shape %v, want %v", name, t.Shape, shape)
		}
	}
	return t, nil
}

// maxElements bounds the elements of all tensors of a file together, 4 GiB in memory: an ONNX file ends at half of that. A file
// with holes, which takes no room on the disk, may have any size.
const maxElements = 1 << 30

// maxRank bounds the dimensions of a tensor; no network here needs more than five.
const maxRank = 16

// numel returns the product of the dimensions. It refuses negative sizes, absurd ranks and products beyond limit.
func numel(shape []int, limit int) (int, error) {
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%d dimensions, at most %d are read", len(shape), maxRank)
	}
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("negative dimension in shape %v", shape)
		}
		if d > 0 && n > math.MaxInt32*8/d {
			return 0, fmt.Errorf("shape %v is too large", shape)
		}
		n *= d
	}
	if n > limit {
		return 0, fmt.Errorf("shape %v needs %d elements, only %d are there", shape, n, limit)
	}
	return n, nil
}

// wrappers are the parts that programs put before the names of tensors: data parallelism, torch.compile, Lightning and
// others, moving averages.
func wrappers() []string {
	return []string{
		"module.", "_orig_mod.", "model.", "net.", "network.", "_forward_module.", "_fsdp_wrapped_module.", "segmentor.", "ema.",
		"ema_model.", "model_ema.", "student.", "teacher.",
	}
}

// Unwrapped returns the tensors without the wrappers that all names begin with, such as "module." and "model.module.".
// Counters beside the weights, such as n_averaged, are left out. Names inside, such as "backbone.module.x", stay.
func (ts Tensors) Unwrapped() Tensors {
	for again := true; again; {
		again = false
		for _, w := range wrappers() {
			if short := ts.without(w); short != nil {
				ts, again = short, true
			}
		}
	}
	return ts
}

// without cuts a beginning off all names, or returns nil.
func (ts Tensors) without(beginning string) Tensors {
	out := make(Tensors, len(ts))
	for name, t := range ts {
		short, ok := strings.CutPrefix(name, beginning)
		switch {
		case ok && short != "":
			renamed := *t
			renamed.Name = short
			out[short] = &renamed
		case len(t.Data) > 1 || strings.Contains(name, "."):
			return nil
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// reason strips the operation and the path from a *PathError: the message already has them.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
