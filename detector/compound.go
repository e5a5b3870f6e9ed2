package detector

import (
	"fmt"
	"math"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// fill computes the values of the map from an encoding.
func (d *Detector) fill(m *Map, enc *Encoding) error {
	m.Width, m.Height = enc.LogitsWidth, enc.LogitsHeight
	m.Values = make([]float32, m.Width*m.Height)
	if d.cfg.Part != PartLSE {
		if err := d.diffusionTo(m.Values, m, enc); err != nil {
			return err
		}
	}
	if d.cfg.Part != PartDiffusion {
		d.addUncertainty(m.Values, enc)
	}
	if d.cfg.Part == PartCompound {
		a, b := d.cal.match(len(m.Timesteps))
		for i, v := range m.Values {
			m.Values[i] = float32(a)*v + float32(b)
		}
	}
	return m.summarise()
}

// diffusionTo stores the standardised diffusion score D on the grid of the logits in dst.
func (d *Detector) diffusionTo(dst []float32, m *Map, enc *Encoding) error {
	n := enc.Width * enc.Height
	d.scores = grow(d.scores, n*len(m.Timesteps))
	if err := d.scorer.ScoreTo(d.scores, enc.Features, n, m.Timesteps); err != nil {
		return err
	}
	w, err := d.schedule.Weights(d.manifest.Diffusion.Aggregate, m.Timesteps)
	if err != nil {
		return err
	}
	mom, err := d.cal.moments(m.Timesteps, w)
	if err != nil {
		return err
	}
	d.tokens = diffusion.AggregateTo(grow(d.tokens, n), d.scores, w)
	scale, shift := mom.standardise(d.manifest.Compound.Rule)
	for i, v := range d.tokens {
		d.tokens[i] = (v - shift) * scale
	}
	if d.manifest.Compound.Upsample == "nearest" {
		nearestTo(dst, d.tokens, enc.Width, enc.Height, enc.LogitsWidth, enc.LogitsHeight)
		return nil
	}
	resizeTo(dst, d.tokens, enc.Width, enc.Height, enc.LogitsWidth, enc.LogitsHeight)
	return nil
}

// standardise returns the line (v-shift)·scale of a compounding rule: deviations from the mean, or parts of the range.
func (m Moments) standardise(rule string) (scale, shift float32) {
	if rule == "min_max" {
		return float32(1 / max(m.Max-m.Min, 1e-9)), float32(m.Min)
	}
	return float32(1 / m.Std), float32(m.Mean)
}

// addUncertainty adds the weighted, standardised U = 1 - logsumexp to dst. With U = 1 - L, mean and range mirror.
func (d *Detector) addUncertainty(dst []float32, enc *Encoding) {
	l := d.cal.LSE
	u := Moments{Mean: 1 - l.Mean, Std: l.Std, Min: 1 - l.Max, Max: 1 - l.Min}
	scale, shift := u.standardise(d.manifest.Compound.Rule)
	weight := float32(d.manifest.Compound.LSEWeight)
	if d.cfg.Part == PartLSE {
		weight = 1
	}
	for i, v := range enc.LSE {
		dst[i] += weight * (1 - v - shift) * scale
	}
}

// summarise sets Peak and Mean, and fails when a value is not finite.
func (m *Map) summarise() error {
	sum, peak := 0.0, float32(math.Inf(-1))
	for _, v := range m.Values {
		sum += float64(v)
		peak = max(peak, v)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("%w: camera %q, frame %d", ErrNotFinite, m.Camera, m.FrameSeq)
	}
	m.Peak, m.Mean = peak, float32(sum/float64(len(m.Values)))
	return nil
}
