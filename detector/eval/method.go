package eval

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/detector"
)

// What a method may need beside an encoder.
var (
	ErrUnknownMethod  = errors.New("eval: unknown method")
	ErrNeedsDenoiser  = errors.New("needs a denoiser: run oodcast fit first")
	ErrNeedsReference = errors.New("needs normal footage: add --reference URI")
	ErrNeedsMasks     = errors.New("needs an encoder with class and mask logits: see oodcast models import onnx " +
		"--class-logits --mask-logits")
)

// Method is a way to score images, from its source.
type Method struct {
	Name      string
	Source    string // who proposed it
	Timesteps bool   // depends on |T|
	needs     error  // what Kit must have; nil for nothing
	build     func(k *Kit, timesteps []int) (Scorer, error)
}

// Multiplier multiplies matrices; it is safe for concurrent use.
type Multiplier interface {
	// MultiplyTo stores a·bᵀ in dst: a is m rows of k, b n rows of k, dst m rows of n.
	MultiplyTo(dst, a, b []float32, m, n, k int) error
}

// Kit is what methods are made of.
type Kit struct {
	// Detector makes the detector that shows a part of the map at |T| = n. nil: no denoiser.
	Detector func(part string, n int) (*detector.Detector, error)
	// Denoising makes the scorer of a denoising error, one of the Denoising constants. The kit's owner closes it.
	Denoising func(score string) (detector.Scorer, error)
	Order     []int      // the bundle's timesteps: |T| = n takes the first n
	Classes   []string   // of the segmenter
	Reference *Reference // nil: none
	Masks     bool       // the encoder has class and mask logits
	Product   Multiplier
	Seed      uint64

	// Made by the first method that needs them.
	found *search
	white *whitening
}

// The denoising errors, beside the cosine of dood, that Kit.Denoising knows.
const (
	NoiseError          = "noise"          // of the predicted noise
	ReconstructionError = "reconstruction" // after the whole reverse chain
)

// Methods returns all methods: the rows of the paper's comparison and the plain ones that keep them honest.
func Methods() []Method {
	return slices.Concat(diffusionMethods(), logitMethods(), referenceMethods(), maskMethods())
}

// MethodNames returns their names.
func MethodNames() []string {
	var names []string
	for _, m := range Methods() {
		names = append(names, m.Name)
	}
	return names
}

// All is the name that stands for every method that a kit allows.
const All = "all"

// NewRows makes the rows of the named methods, one for each |T| where they depend on it. The error of a method that the
// kit does not allow wraps one of the ErrNeeds errors; All leaves such methods out.
func NewRows(k *Kit, names []string, timesteps []int) ([]Row, error) {
	var rows []Row
	for _, name := range names {
		found := name == All
		for _, m := range Methods() {
			if name != m.Name && name != All {
				continue
			}
			found = true
			err := k.lacks(m.needs)
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
			return nil, fmt.Errorf("%w %q: want %s or %s", ErrUnknownMethod, name, All, strings.Join(MethodNames(), ", "))
		}
	}
	return rows, nil
}

// lacks returns need when the kit does not have it.
func (k *Kit) lacks(need error) error {
	have := map[error]bool{
		nil: true, ErrNeedsDenoiser: k.Detector != nil, ErrNeedsReference: k.Reference != nil, ErrNeedsMasks: k.Masks,
	}
	if have[need] {
		return nil
	}
	return need
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
