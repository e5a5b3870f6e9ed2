package detector

import (
	"errors"
	"math"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models"
)

// Compound turns per-timestep scores and segmentation uncertainty into the values of a map. It is not safe for concurrent
// use.
type Compound struct {
	rules     models.Compound
	aggregate string
	score     string
	part      string
	cal       Calibration
	schedule  *diffusion.Schedule
	guided    *guided
	sized     *sized    // of the rule sized; nil with another rule
	features  bool      // the encoder has no classes, and so no uncertainty
	tokens    []float32 // reused between frames
}

// NewCompound returns a Compound with the rules of a manifest and a calibration. Part is one of the Part constants.
func NewCompound(m models.Manifest, cal Calibration, part string) *Compound {
	c := &Compound{
		rules: m.Compound, aggregate: m.Diffusion.Aggregate, score: m.Diffusion.Score, part: part, cal: cal, schedule: diffusion.NewSchedule(),
		guided: newGuided(), features: m.Encoder.FeaturesOnly(),
	}
	if m.Compound.Rule == models.RuleSized && cal.Voices != nil {
		c.sized = &sized{rules: m.Compound, radius: m.Compound.Surroundings / m.Encoder.LogitsStride / 2, scale: *cal.Voices, guided: c.guided}
	}
	return c
}

// Voices returns which voice speaks the loudest in each cell of the last map, or nil if the rule has no voices. The result
// is valid until the next map.
func (c *Compound) Voices() []Voice {
	if c.sized == nil || c.part != PartCompound {
		return nil
	}
	return c.sized.voices
}

// watchesMotion reports whether the map depends on how things move.
func (c *Compound) watchesMotion() bool {
	return c.sized != nil && c.part == PartCompound && c.sized.scale.Motion != nil && c.rules.MotionWeight > 0
}

// To stores the values of the map on the grid of the logits in dst and returns it; a short dst is replaced. Scores holds
// e_t of every token, one row per timestep; it is nil when the map shows only the uncertainty. For an encoder
// without classes, the compound map is the diffusion score on the calibrated scale.
func (c *Compound) To(dst, scores []float32, timesteps []int, enc *Encoding) ([]float32, error) {
	dst = grow(dst, enc.LogitsWidth*enc.LogitsHeight)
	clear(dst)
	if c.part == PartUnclaimed {
		copy(dst, enc.Unclaimed)
		return dst, nil
	}
	if c.part != PartLSE {
		if err := c.diffusionTo(dst, scores, timesteps, enc); err != nil {
			return nil, err
		}
	}
	switch {
	case c.sized != nil && c.part != PartLSE:
		if err := c.sized.join(dst, len(timesteps), enc, c.part == PartCompound); err != nil {
			return nil, err
		}
	case c.part != PartDiffusion && !c.features:
		c.addUncertainty(dst, enc)
	}
	if c.part == PartCompound {
		a, b := c.cal.scale(len(timesteps))
		for i, v := range dst {
			dst[i] = float32(a)*v + float32(b)
		}
	}
	return dst, nil
}

var errNoColours = errors.New("detector: the encoder provides no colours for guided upsampling")

// diffusionTo stores the standardised diffusion score D on the grid of the logits in dst.
func (c *Compound) diffusionTo(dst, scores []float32, timesteps []int, enc *Encoding) error {
	w, err := c.schedule.Weights(c.aggregate, timesteps)
	if err != nil {
		return err
	}
	mom, err := c.cal.moments(timesteps, w)
	if err != nil {
		return err
	}
	c.tokens = diffusion.AggregateTo(grow(c.tokens, enc.Width*enc.Height), scores, w)
	if c.rules.Rule == models.RuleSized && c.score == models.ScoreCosine {
		tangentTo(c.tokens, w)
	} else {
		scale, shift := mom.standardise(c.rules.Rule)
		for i, v := range c.tokens {
			c.tokens[i] = (v - shift) * scale
		}
	}
	if c.rules.Upsample == models.UpsampleNearest {
		nearestTo(dst, c.tokens, enc.Width, enc.Height, enc.LogitsWidth, enc.LogitsHeight)
		return nil
	}
	resizeTo(dst, c.tokens, enc.Width, enc.Height, enc.LogitsWidth, enc.LogitsHeight)
	if c.rules.Rule == models.RuleSized {
		return nil // which smooths the sum of the voices
	}
	if c.rules.Upsample == models.UpsampleGuided {
		if len(enc.Guide) != 3*len(dst) {
			return errNoColours
		}
		c.guided.filter(dst, enc.Guide, enc.LogitsWidth, enc.LogitsHeight)
	}
	return nil
}

// standardise returns the line (v-shift)·scale of a compounding rule: deviations from the mean, or fractions of the range.
func (m Moments) standardise(rule string) (scale, shift float32) {
	if rule == models.RuleMinMax {
		return float32(1 / max(m.Max-m.Min, 1e-9)), float32(m.Min)
	}
	return float32(1 / m.Std), float32(m.Mean)
}

// The gate of the gated rule. Where the diffusion score is gateCentre deviations above normal, half of the uncertainty
// counts; gateSlope is the slope of the gate there. Measured with EfficientViT-B0; quality is flat around these values.
const (
	gateCentre = 1
	gateSlope  = 2
)

// addUncertainty adds the weighted, standardised U = 1 - L to the diffusion score in dst, where L is the logsumexp. The
// mean and the range of U mirror those of L.
//
// Plain addition is a bad compromise: segmenters are unsure about hedges and kerbs, which are normal, and about small
// obstacles, which are not. The gated rule counts U only where the features are strange too:
// D + w·U·σ(gateSlope·(D - gateCentre)).
func (c *Compound) addUncertainty(dst []float32, enc *Encoding) {
	l := c.cal.LSE
	u := Moments{Mean: 1 - l.Mean, Std: l.Std, Min: 1 - l.Max, Max: 1 - l.Min}
	scale, shift := u.standardise(c.rules.Rule)
	weight := float32(c.rules.LSEWeight)
	gated := c.rules.Rule == models.RuleGated
	if c.part == PartLSE {
		weight, gated = 1, false
	}
	for i, v := range enc.LSE {
		part := weight * (1 - v - shift) * scale
		if gated {
			part *= float32(1 / (1 + math.Exp(-gateSlope*(float64(dst[i])-gateCentre))))
		}
		dst[i] += part
	}
}

// leastCosine is the cosine from which on tangentTo tells no difference any more: 87 degrees.
const leastCosine = 0.05

// tangentTo turns sums of -cos(ε, ε̂) with weights w into the tangent of the angle between ε and ε̂. What the denoiser cannot
// explain of a feature is added to its prediction, mostly at a right angle to the noise, so the tangent is the length of the
// unexplained part in units of the noise. Unlike the cosine, it does not saturate where features are very strange, which
// matters as soon as it is added to other voices; the order of the tokens stays as it is.
func tangentTo(sums []float32, w []float64) {
	total := 0.0
	for _, v := range w {
		total += v
	}
	for i, v := range sums {
		cos := min(max(-float64(v)/total, leastCosine), 1)
		sums[i] = float32(math.Sqrt(1/(cos*cos) - 1))
	}
}
