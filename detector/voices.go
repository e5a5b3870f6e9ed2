package detector

import (
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
	}
	return fmt.Sprintf("Voice(%d)", uint8(v))
}

// Voices hold the scales of the voices on normal footage. Medians and median deviations do not depend on how many strange
// cells the footage has.
type Voices struct {
	// Diffusion scales the diffusion score after its standardisation by mean and covariance. It is measured at
	// VoiceTimesteps, and hardly depends on |T|.
	Diffusion Spread `json:"diffusion"`
	// Unclaimed scales the encoder's output of that name, and Contrast the uncertainty minus its mean over the surroundings;
	// zero if the encoder lacks them.
	Unclaimed Spread `json:"unclaimed"`
	Contrast  Spread `json:"contrast"`
}

// VoiceTimesteps is the |T| at which the scale of the diffusion score is measured.
const VoiceTimesteps = 5

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

// Validate returns an error unless the spreads are finite, and positive where there is a voice.
func (v *Voices) Validate() error {
	for name, s := range map[string]Spread{"diffusion": v.Diffusion, "unclaimed": v.Unclaimed, "contrast": v.Contrast} {
		if s == (Spread{}) && name != "diffusion" {
			continue
		}
		if !finite(s.Median, s.Deviation) || s.Deviation <= 0 {
			return fmt.Errorf("%s: got median %v and deviation %v, want finite and positive", name, s.Median, s.Deviation)
		}
	}
	return nil
}

// MeasureVoices returns the scales of the voices on normal pictures. scores[i] holds e_t of the tokens of encs[i] at the given
// timesteps. The calibration needs mean and covariance only.
func MeasureVoices(
	m models.Manifest, cal Calibration, timesteps []int, encs []Encoding, scores [][]float32,
) (Voices, error) {
	m.Compound.Rule, m.Compound.Upsample = models.RuleStandardised, models.UpsampleBilinear
	cal.Levels = nil
	c := NewCompound(m, cal, PartDiffusion)
	box := sized{radius: m.Compound.Side() / m.Encoder.LogitsStride / 2}
	var d, h, u, one []float32
	for i := range encs {
		enc := &encs[i]
		var err error
		if one, err = c.To(one, scores[i], timesteps, enc); err != nil {
			return Voices{}, err
		}
		d, h = append(d, one...), append(h, enc.Unclaimed...)
		if len(enc.LSE) > 0 {
			u = append(u, box.contrast(enc)...)
		}
	}
	v := Voices{Diffusion: newSpread(d), Unclaimed: newSpread(h), Contrast: newSpread(u)}
	return v, v.Validate()
}
