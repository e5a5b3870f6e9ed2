package detector

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// The values of Config.SecondLook.
const (
	LookOff  = "off"
	LookAuto = "auto"
	LookOn   = "on"
)

// validRegion reports whether r is empty, or a rectangle in the frame that is not too narrow to be seen.
func validRegion(r []float64) bool {
	const least = 0.05
	return len(r) == 0 || len(r) == 4 && r[0] >= 0 && r[1] >= 0 && r[2] <= 1 && r[3] <= 1 && r[2]-r[0] >= least && r[3]-r[1] >= least
}

// Look is the second look at a frame: the encoding of a part of it at a larger scale.
type Look struct {
	*Encoding
	Cells image.Rectangle // what it covers of the first look's map, in cells
	Took  time.Duration   // time of the encoder
}

// secondLook takes second looks for one detector. It is not safe for concurrent use.
type secondLook struct {
	spec     models.EncoderSpec
	roi      ROI
	region   []float64 // left, top, right, bottom
	forced   bool
	compound *Compound // with the voices of the second look
	plan     lookPlan
	held     Encoding // of the newest look
	told     string   // the newest note
	pixels   []byte
	scores   []float32
	values   []float32
	fine     []float32
}

// lookPlan is what a second look at frames of one size sees.
type lookPlan struct {
	frame, working image.Point
	part           image.Rectangle // of the frame, in pixels
	cells          image.Rectangle // of the map
	size           image.Point     // at which it is encoded
	why            string          // there is none, because
}

// newSecondLook returns nil if the detector takes no second looks, and an error if it should but cannot.
func newSecondLook(m models.Manifest, cal Calibration, cfg Config) (*secondLook, error) {
	possible := cal.Look != nil && m.Compound.Rule == models.RuleSized && cfg.Part == PartCompound
	switch {
	case cfg.SecondLook == LookOn && !possible:
		return nil, fmt.Errorf("detector: %w: second_look: the bundle's calibration has none: run oodcast fit --calibrate-only on frames "+
			"of at least %v times its working size, or choose auto", ErrSetting, lookLeast)
	case cfg.SecondLook == LookOff || !possible:
		return nil, nil
	}
	look := *cal.Look
	cal.Voices, cal.Levels = &look.Voices, nil
	s := &secondLook{
		spec: m.Encoder, roi: cfg.ROI, region: cfg.SecondLookRegion, forced: cfg.SecondLook == LookOn,
		compound: NewCompound(m, cal, PartCompound),
	}
	if len(s.region) == 0 {
		s.region = []float64{0, look.Top, 1, look.Bottom}
	}
	return s, nil
}

// prepare plans the second look at frames of another size. It returns why there is none, once.
func (s *secondLook) prepare(f *ingest.Frame, w, h int) (note string) {
	frame, working := image.Pt(f.Width, f.Height), image.Pt(w, h)
	if s.plan.frame == frame && s.plan.working == working {
		return ""
	}
	s.plan = lookPlan{frame: frame, working: working}
	p := &s.plan
	scale, ok := lookAt(f.Width, f.Height, w, h)
	if !ok {
		p.why = fmt.Sprintf("no second look: frames of %dx%d have less than %v times the working size, %dx%d", f.Width, f.Height, lookLeast,
			w, h)
		return p.why
	}
	cell, step := s.spec.LogitsStride, s.spec.SizeMultiple()
	columns, rows := w/cell, h/cell
	// Whole steps of the encoder at the scale of 2, so that four cells of the second look are one of the map.
	unit := max(1, step/(lookScale*cell))
	p.cells.Min.X, p.cells.Max.X = lookSpan(s.region[0], s.region[2], columns, unit)
	p.cells.Min.Y, p.cells.Max.Y = lookSpan(s.region[1], s.region[3], rows, unit)
	p.part = image.Rect(p.cells.Min.X*f.Width/columns, p.cells.Min.Y*f.Height/rows,
		p.cells.Max.X*f.Width/columns, p.cells.Max.Y*f.Height/rows)
	p.size = image.Pt(aligned(float64(p.cells.Dx()*cell)*scale, step), aligned(float64(p.cells.Dy()*cell)*scale, step))
	if !s.roi.Empty() && !s.roi.Mask(columns, rows).any(p.cells) {
		p.why = "no second look: the region of interest has nothing of it"
	}
	return p.why
}

// tell returns a note when second looks begin or end. Until enough frames are measured, there is nothing to tell of their end.
func (s *secondLook) tell(taken, measured bool) string {
	note := "no time for second looks"
	if taken {
		p := &s.plan
		note = fmt.Sprintf("second looks at %v of frames of %dx%d, at %dx%d", p.part, p.frame.X, p.frame.Y, p.size.X, p.size.Y)
	}
	if note == s.told || !taken && !measured {
		return ""
	}
	s.told = note
	return note
}

// lookSpan returns the cells from a to b, as fractions of n: a multiple of unit, if n is one.
func lookSpan(a, b float64, n, unit int) (from, to int) {
	size := min(n, unit*max(1, int(math.Ceil((b-a)*float64(n)/float64(unit)-1e-9))))
	from = int(math.Round((a+b)/2*float64(n) - float64(size)/2))
	from = min(max(from, 0), n-size)
	return from, from + size
}

// any reports whether a cell of r is inside.
func (m *Mask) any(r image.Rectangle) bool {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		if slices.Contains(m.Inside[y*m.Width:][r.Min.X:r.Max.X], true) {
			return true
		}
	}
	return false
}

// share returns the pixels of the second look, as a multiple of those of the first.
func (p *lookPlan) share() float64 {
	return float64(p.size.X*p.size.Y) / float64(p.working.X*p.working.Y)
}

// take encodes the planned part of a frame. The result is valid until the next call.
func (s *secondLook) take(ctx context.Context, enc Encoder, f *ingest.Frame) (*Look, error) {
	begun := time.Now()
	one, err := enc.Encode(ctx, s.crop(f), s.plan.size.X, s.plan.size.Y)
	if err != nil {
		return nil, fmt.Errorf("second look: %w", err)
	}
	h := &s.held // the encoder's own memory is for the whole frame, which comes next
	features, lse, unclaimed, guide := h.Features, h.LSE, h.Unclaimed, h.Guide
	*h = *one
	h.Features, h.LSE = append(features[:0], one.Features...), append(lse[:0], one.LSE...)
	h.Unclaimed, h.Guide = append(unclaimed[:0], one.Unclaimed...), append(guide[:0], one.Guide...)
	h.Logits, h.ClassLogits, h.MaskLogits = nil, nil, nil
	return &Look{Encoding: h, Cells: s.plan.cells, Took: time.Since(begun)}, nil
}

// crop returns the planned part of a frame, which shares its pixels if they lie one after the other.
func (s *secondLook) crop(f *ingest.Frame) *ingest.Frame {
	r := s.plan.part
	part := &ingest.Frame{Camera: f.Camera, Seq: f.Seq, Width: r.Dx(), Height: r.Dy()}
	if r.Dx() == f.Width {
		part.Pix = f.Pix[3*f.Width*r.Min.Y : 3*f.Width*r.Max.Y]
		return part
	}
	s.pixels = s.pixels[:0]
	for y := r.Min.Y; y < r.Max.Y; y++ {
		s.pixels = append(s.pixels, f.Pix[3*(y*f.Width+r.Min.X):][:3*r.Dx()]...)
	}
	part.Pix = s.pixels
	return part
}

// score computes the values of a second look at the given timesteps.
func (s *secondLook) score(scorer Scorer, look *Look, timesteps []int) error {
	s.scores = grow(s.scores, look.Width*look.Height*len(timesteps))
	if err := ScoreEncoding(scorer, s.scores, look.Encoding, timesteps); err != nil {
		return fmt.Errorf("second look: %w", err)
	}
	var err error
	s.values, err = s.compound.To(s.values, s.scores, timesteps, look.Encoding)
	return err
}

// join raises the map of the first look in dst, which first made of so many timesteps, to what the second look sees of it:
//
//	S = S₁ + σ(2(crowded - b))·max(0, max S₂ - S₁)
//
// max S₂ is the largest of the four cells in one of the map; b is the mean of the first look over the surroundings, as for
// contrast in the rule sized. So the second look finds what is small, and things that are large lose nothing by it.
func (s *secondLook) join(dst []float32, first *Compound, enc *Encoding, timesteps int) {
	look := enc.Look
	w, h := look.Cells.Dx(), look.Cells.Dy()
	s.fine = resizeTo(s.fine, s.values, look.LogitsWidth, look.LogitsHeight, 2*w, 2*h)
	a, b := first.cal.scale(timesteps)
	voices := s.compound.Voices()
	for y := range h {
		for x := range w {
			at := 4*y*w + 2*x
			for _, other := range [...]int{4*y*w + 2*x + 1, 4*y*w + 2*w + 2*x, 4*y*w + 2*w + 2*x + 1} {
				if s.fine[other] > s.fine[at] {
					at = other
				}
			}
			i := (look.Cells.Min.Y+y)*enc.LogitsWidth + look.Cells.Min.X + x
			rise := float32(a)*s.fine[at] + float32(b) - dst[i]
			if rise <= 0 {
				continue
			}
			gate := sigmoid(sizedSlope * (float32(first.rules.Crowded) - first.sized.around[i]))
			dst[i] += gate * rise
			if gate > lookVoice {
				fx, fy := at%(2*w)*look.LogitsWidth/(2*w), at/(2*w)*look.LogitsHeight/(2*h)
				first.sized.voices[i] = voices[fy*look.LogitsWidth+fx]
			}
		}
	}
}

// lookVoice is the gate from which on the voice of the second look is that of the map.
const lookVoice = 0.5
