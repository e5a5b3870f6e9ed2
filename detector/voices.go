package detector

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oodcast/oodcast/models"
)

// Voice is one of the parts that the rule sized adds up to the score of a cell.
type Voice uint8

// The voices.
const (
	VoiceDiffusion Voice = iota // the denoiser does not know the features
	VoiceUnclaimed              // no class claims the features
	VoiceContrast               // the segmenter is less sure than in the surroundings
	VoiceMotion                 // it is faster than what moves here normally
)

// String returns the name of the voice in messages.
func (v Voice) String() string {
	switch v {
	case VoiceDiffusion:
		return "diffusion"
	case VoiceUnclaimed:
		return "unclaimed"
	case VoiceContrast:
		return "contrast"
	case VoiceMotion:
		return "motion"
	}
	return fmt.Sprintf("Voice(%d)", uint8(v))
}

// Voices hold the scales of the voices on normal footage. Medians and median deviations do not depend on how many strange
// cells the footage has.
type Voices struct {
	// Diffusion scales the diffusion score of |T| = 1, 2 …: the tangent of the mean angle, see tangentTo.
	Diffusion []Spread `json:"diffusion"`
	// Unclaimed scales the encoder's output of that name, and Contrast the uncertainty minus its mean over the surroundings;
	// zero if the encoder lacks them.
	Unclaimed Spread `json:"unclaimed"`
	Contrast  Spread `json:"contrast"`
	// Motion scales speeds; nil if the camera moves or the calibration is one of single pictures.
	Motion *MotionScale `json:"motion,omitempty"`
}

// diffusion returns the scale of the diffusion score of n timesteps.
func (v *Voices) diffusion(n int) Spread { return v.Diffusion[max(0, min(n, len(v.Diffusion))-1)] }

// Spread describes a distribution by its median, and by 1.4826 times the median distance from it, which is the standard
// deviation if the distribution is normal.
type Spread struct {
	Median    float64 `json:"median"`
	Deviation float64 `json:"deviation"`
}

// madScale is the standard deviation of a normal distribution whose median distance from the median is 1.
const madScale = 1.4826

// newSpread returns the spread of x, which it overwrites.
func newSpread(x []float32) Spread {
	if len(x) == 0 {
		return Spread{}
	}
	slices.Sort(x)
	median := x[len(x)/2]
	for i, v := range x {
		x[i] = float32(math.Abs(float64(v - median)))
	}
	slices.Sort(x)
	return Spread{Median: float64(median), Deviation: madScale * float64(x[len(x)/2])}
}

// apply returns x in deviations from the median.
func (s Spread) apply(x float32) float32 { return (x - float32(s.Median)) / float32(s.Deviation) }

func (s Spread) validate(name string) error {
	if !finite(s.Median, s.Deviation) || s.Deviation <= 0 {
		return fmt.Errorf("%s: got median %v and deviation %v, want finite and positive", name, s.Median, s.Deviation)
	}
	return nil
}

// Validate returns an error unless the spreads are finite, and positive where there is a voice.
func (v *Voices) Validate() error {
	var errs []error
	if len(v.Diffusion) == 0 {
		errs = append(errs, errors.New("diffusion: got no |T|, want at least one"))
	}
	for i, s := range v.Diffusion {
		errs = append(errs, s.validate(fmt.Sprintf("diffusion: |T|=%d", i+1)))
	}
	if v.Unclaimed != (Spread{}) {
		errs = append(errs, v.Unclaimed.validate("unclaimed"))
	}
	if v.Contrast != (Spread{}) {
		errs = append(errs, v.Contrast.validate("contrast"))
	}
	if v.Motion != nil {
		if err := v.Motion.validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

var errMotion = errors.New("motion: want finite speeds of 0 or more for each stripe and a positive scale")

// motionTimesteps is the |T| whose diffusion score motion is compared with.
const motionTimesteps = 5

// MeasureVoices returns the scales of the voices on normal pictures. scores[i] holds e_t of the tokens of encs[i] at the
// timesteps of the calibration, of which mean and covariance are needed.
func MeasureVoices(m models.Manifest, cal Calibration, encs []Encoding, scores [][]float32) (Voices, error) {
	var v Voices
	var x, one []float32
	m.Compound.Rule = models.RuleSized
	c := NewCompound(m, cal, PartDiffusion)
	tail := 0.0
	for n := range cal.Timesteps {
		x = x[:0]
		for i := range encs {
			enc := &encs[i]
			one = grow(one, enc.LogitsWidth*enc.LogitsHeight)
			if err := c.diffusionTo(one, scores[i][:(n+1)*enc.Width*enc.Height], cal.Timesteps[:n+1], enc); err != nil {
				return Voices{}, err
			}
			x = append(x, one...)
		}
		far := float32(0)
		if n < motionTimesteps {
			far = float32(quantiles(x, []float64{tailP})[0].Value)
		}
		v.Diffusion = append(v.Diffusion, newSpread(x))
		if n < motionTimesteps {
			tail = float64(v.Diffusion[n].apply(far))
		}
	}
	v.Motion = measureMotion(encs, tail)
	x = x[:0]
	for i := range encs {
		x = append(x, encs[i].Unclaimed...)
	}
	v.Unclaimed = newSpread(x)
	x = x[:0]
	for i := range encs {
		if len(encs[i].LSE) > 0 {
			x = append(x, Contrast(&encs[i], m.Compound.Side()/m.Encoder.LogitsStride)...)
		}
	}
	v.Contrast = newSpread(x)
	return v, v.Validate()
}
