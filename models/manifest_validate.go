package models

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// faults collects faults, one line each.
type faults []error

func (f *faults) bad(key string, got any, want string) {
	if s, ok := got.(string); ok {
		got = fmt.Sprintf("%q", s)
	}
	*f = append(*f, fmt.Errorf("models.%s: got %v, want %s", key, got, want))
}

func (f *faults) oneOf(key, got string, want ...string) {
	if !slices.Contains(want, got) {
		f.bad(key, got, strings.Join(want, " or "))
	}
}

// Validate reports all faults at once.
func (m *Manifest) Validate() error {
	var f faults
	if m.Format != Format {
		f.bad("format", m.Format, fmt.Sprintf("%d (a newer program may read it)", Format))
	}
	if !namePattern.MatchString(m.Name) {
		f.bad("name", m.Name, "lower case letters, digits, - and _")
	}
	m.Encoder.validate(&f)
	m.Diffusion.validate(&f)
	f.oneOf("normalise", m.Normalise, NormalisePerChannel, NormaliseGlobal)
	f.oneOf("compound.rule", m.Compound.Rule, RuleStandardised, RuleMinMax, RuleGated, RuleSized)
	f.oneOf("compound.upsample", m.Compound.Upsample, UpsampleGuided, UpsampleBilinear, UpsampleNearest)
	if w := m.Compound.LSEWeight; !(w >= 0 && w <= 1000) {
		f.bad("compound.lse_weight", w, "0 to 1000")
	}
	m.Compound.validateSized(&f)
	if m.Uncalibrated != "" && m.Denoiser == nil {
		f.bad("uncalibrated", m.Uncalibrated, "nothing without a denoiser")
	}
	if m.Denoiser != nil {
		if err := m.Denoiser.Validate(); err != nil {
			f = append(f, fmt.Errorf("models.denoiser: %w", err))
		}
		if m.Denoiser.Channels != m.Encoder.Channels {
			f.bad("denoiser.channels", m.Denoiser.Channels, fmt.Sprintf("the encoder's %d", m.Encoder.Channels))
		}
	}
	for name, file := range m.Files {
		if !filePattern.MatchString(name) || name == ManifestFile {
			f.bad("files", name, "a plain file name")
		}
		if raw, err := hex.DecodeString(file.SHA256); err != nil || len(raw) != 32 {
			f.bad("files."+name+".sha256", file.SHA256, "64 hexadecimal digits")
		}
		if file.Bytes < 0 {
			f.bad("files."+name+".bytes", file.Bytes, "0 or more")
		}
	}
	slices.SortFunc(f, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(f...)
}

func (e *EncoderSpec) validate(f *faults) {
	if e.Architecture == "" {
		f.bad("encoder.architecture", e.Architecture, "a name")
	}
	if e.Channels < 1 || e.Channels > 1<<16 {
		f.bad("encoder.channels", e.Channels, "1 to 65536")
	}
	if e.Stride < 1 || e.Stride > 256 {
		f.bad("encoder.stride", e.Stride, "1 to 256")
	}
	if e.LogitsStride < 1 || e.LogitsStride > 256 {
		f.bad("encoder.logits_stride", e.LogitsStride, "1 to 256")
	}
	if len(e.Classes) == 1 {
		f.bad("encoder.classes", 1, "at least 2 names, or none")
	}
	if e.FeaturesOnly() && e.Stride > 0 && e.LogitsStride != MapStride(e.Stride) {
		f.bad("encoder.logits_stride", e.LogitsStride, fmt.Sprintf("%d without classes", MapStride(e.Stride)))
	}
	if e.Multiple < 0 || e.Multiple > 1024 {
		f.bad("encoder.multiple", e.Multiple, "0 to 1024")
	}
	n := e.SizeMultiple()
	for key, v := range map[string]int{"width": e.Size.Width, "height": e.Size.Height} {
		if v <= 0 || v > 16384 || v%n != 0 {
			f.bad("encoder.size."+key, v, fmt.Sprintf("a positive multiple of %d", n))
		}
	}
}

func (c *Compound) validateSized(f *faults) {
	const most = 1000
	if w := c.UnclaimedWeight; !(w >= 0 && w <= most) {
		f.bad("compound.unclaimed_weight", w, "0 to 1000")
	}
	if w := c.MotionWeight; !(w >= 0 && w <= most) {
		f.bad("compound.motion_weight", w, "0 to 1000")
	}
	if n := c.Surroundings; n < 0 || n > 16384 || n == 0 && c.Rule == RuleSized {
		f.bad("compound.surroundings", n, "1 to 16384 pixels for the rule sized")
	}
	for key, v := range map[string]float64{"large": c.Large, "crowded": c.Crowded} {
		if !(v >= -most && v <= most) {
			f.bad("compound."+key, v, "-1000 to 1000")
		}
	}
}

func (d *Diffusion) validate(f *faults) {
	f.oneOf("diffusion.noise", d.Noise, NoiseAntithetic, NoiseIndependent, NoiseShared)
	f.oneOf("diffusion.aggregate", d.Aggregate, AggregateSum, AggregateSqrtOneMinusAlphaBar)
	f.oneOf("diffusion.score", d.Score, ScoreCosine, ScoreMSE)
	if d.Draws < 0 || d.Draws > 1000 {
		f.bad("diffusion.draws", d.Draws, "0 to 1000")
	}
	if len(d.Timesteps) == 0 {
		f.bad("diffusion.timesteps", "[]", "at least one timestep")
	}
	seen := map[int]bool{}
	for _, t := range d.Timesteps {
		if t < 0 || t >= Timesteps || seen[t] {
			f.bad("diffusion.timesteps", t, fmt.Sprintf("each of 0 to %d at most once", Timesteps-1))
		}
		seen[t] = true
	}
}
