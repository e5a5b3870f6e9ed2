package method

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/detector"
)

// Errors of NewRows. The ErrNeeds errors name what a method needs in addition to an encoder.
var (
	ErrUnknown        = errors.New("method: unknown method")
	ErrNeedsDenoiser  = errors.New("needs a denoiser: run oodcast fit first")
	ErrNeedsReference = errors.New("needs normal footage: add --reference URI")
	ErrNeedsClasses   = errors.New("needs class logits, which this bundle's encoder does not have: it knows features only")
	ErrNeedsHeads     = errors.New("needs an encoder with heads: see oodcast models import efficientnet-lite --heads")
	ErrNeedsMasks     = errors.New("needs an encoder with class and mask logits: see oodcast models import mask2former, or " +
		"import onnx --class-logits --mask-logits")
)

// Method is a way to score images.
type Method struct {
	Name      string
	Source    string // publication, and how the method differs from it
	Timesteps bool   // whether the scores depend on |T|
	logits    bool   // whether the method reads class logits
	needs     error  // ErrNeeds error of a Kit that lacks something; nil: an encoder is enough
	build     func(k *Kit, timesteps []int) (Scorer, error)
}

// List returns all methods: the rows of the paper's comparison, and plain baselines to put them into perspective.
func List() []Method {
	return slices.Concat(diffusionMethods(), voiceMethods(), logitMethods(), normalMethods(), maskMethods())
}

// Names returns the names of all methods.
func Names() []string {
	var names []string
	for _, m := range List() {
		names = append(names, m.Name)
	}
	return names
}

// All stands for every method that a kit allows.
const All = "all"

// NewRows makes the rows of the named methods: one per |T| for a method that depends on it, else one. The error of a method
// that the kit does not allow wraps an ErrNeeds error; [All] leaves such methods out.
func NewRows(k *Kit, names []string, timesteps []int) ([]Row, error) {
	var rows []Row
	for _, name := range names {
		found := name == All
		for _, m := range List() {
			if name != m.Name && name != All {
				continue
			}
			found = true
			err := k.lacks(m)
			if err != nil && name == All {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("method %s %w", m.Name, err)
			}
			made, err := m.rows(k, timesteps)
			if err != nil {
				return nil, fmt.Errorf("method %s: %w", m.Name, err)
			}
			rows = append(rows, made...)
		}
		if !found {
			return nil, fmt.Errorf("%w %q: want %s or %s", ErrUnknown, name, All, strings.Join(Names(), ", "))
		}
	}
	return rows, nil
}

func (m Method) rows(k *Kit, timesteps []int) ([]Row, error) {
	if !m.Timesteps {
		timesteps = []int{0}
	}
	var rows []Row
	for _, n := range timesteps {
		if n < 0 || n > len(k.Order) || m.Timesteps && n == 0 {
			return nil, fmt.Errorf("%w: timesteps: got %d, want 1..%d", detector.ErrSetting, n, len(k.Order))
		}
		score, err := m.build(k, k.Order[:n])
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{Method: m.Name, Timesteps: n, Score: score})
	}
	return rows, nil
}
