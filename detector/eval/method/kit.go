package method

import "github.com/oodcast/oodcast/detector"

// Multiplier multiplies matrices. It is safe for concurrent use.
type Multiplier interface {
	// MultiplyTo stores a·bᵀ in dst, where a is m×k, b is n×k and dst is m×n, all row-major.
	MultiplyTo(dst, a, b []float32, m, n, k int) error
}

// Kit holds what methods are made of. It is not safe for concurrent use.
type Kit struct {
	// Detector makes the detector of a part of the map at |T| = n; nil: there is no denoiser.
	Detector func(part string, n int) (*detector.Detector, error)
	// Denoising makes the scorer of NoiseError or ReconstructionError. The owner of the kit closes the scorer.
	Denoising func(score string) (detector.Scorer, error)
	// Variant makes the detector of the compound map with other settings of the bundle and another scorer, at |T| = n; nil:
	// there is no denoiser.
	Variant func(settings []string, s detector.Scorer, n int) (*detector.Detector, error)
	// Scorer is the one of the denoiser; nil: there is no denoiser. The owner of the kit closes it.
	Scorer    detector.Scorer
	Order     []int      // timesteps of the bundle: |T| = n takes the first n
	Classes   []string   // of the segmenter
	Reference *Reference // normal footage; nil: none
	Heads     bool       // whether the encoder has the output unclaimed
	Masks     bool       // whether the encoder has class and mask logits
	// FeaturesOnly reports that the encoder knows no classes and so has no logits.
	FeaturesOnly bool
	// Surroundings is the side length of the square that contrast compares a cell with, and LogitsStride that of a cell, both in
	// pixels of the working size.
	Surroundings, LogitsStride int
	Product                    Multiplier
	// Shrink draws the covariance of normal footage towards a multiple of the unit matrix, for footage of few frames.
	Shrink bool
	Seed   uint64 // of the tokens of normal footage that cdnp compares among themselves

	// The first method that needs these makes them.
	neighbours *search
	white      *whitening
	spectrum   *components
}

// The denoising errors of Kit.Denoising. The score of dood is a cosine instead.
const (
	NoiseError          = "noise"          // error of the predicted noise
	ReconstructionError = "reconstruction" // error after the whole reverse chain
)

// lacks returns what the kit lacks of what the method needs, or nil.
func (k *Kit) lacks(m Method) error {
	if m.logits && k.FeaturesOnly {
		return ErrNeedsClasses
	}
	need := m.needs
	have := map[error]bool{
		nil: true, ErrNeedsDenoiser: k.Detector != nil, ErrNeedsReference: k.Reference != nil, ErrNeedsMasks: k.Masks,
		ErrNeedsHeads: k.Heads,
	}
	if have[need] {
		return nil
	}
	return need
}
