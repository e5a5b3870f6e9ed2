package detector

import (
	"math"

	"github.com/oodcast/oodcast/models"
)

// sized is the rule of that name. With the voices D (diffusion), H (unclaimed) and U' (contrast), each in deviations from
// normal footage, and the mean b over the surroundings:
//
//	B = (D + a·H) / (1 + a)
//	V = B + σ(2(b(B) - large))·(G(B) - B)                   G: smoothed along the colours of the frame
//	S = V + w·max(U', 0)·σ(2(B - ½))·σ(2(crowded - b(B))) + m·M
//
// What is large gains by the smoothing, which would blur what is small. U' finds what is small, but costs what is large, so
// it counts only where the surroundings are not strange themselves. M is how much faster something is than what moves at that
// height of the picture of a fixed camera; see MotionScale. The measurements are in docs/ablations.md and docs/fixed-camera.md.
type sized struct {
	rules  models.Compound
	radius int // of the surroundings, in cells
	scale  Voices
	guided *guided

	base, smooth, around, box []float32 // reused between frames
	odd, moves                []float32
	rows, column              []float64
	voices                    []Voice
	loudest                   []float32 // what the voice adds to the base
}

// sizedSlope is the slope of the rule's sigmoids, and sizedStrange where that of B is ½.
const (
	sizedSlope   = 2
	sizedStrange = 0.5
)

// join turns the diffusion score of so many timesteps in dst, on the grid of the logits, into the score of the rule. Without
// all, the other voices are left out.
func (s *sized) join(dst []float32, timesteps int, enc *Encoding, all bool) error {
	n, diffusion := len(dst), s.scale.diffusion(timesteps)
	a := float32(s.rules.UnclaimedWeight)
	if !all || len(enc.Unclaimed) != n {
		a = 0
	}
	s.voices, s.loudest = grow(s.voices, n), grow(s.loudest, n)
	for i, v := range dst {
		d := diffusion.apply(v) / (1 + a)
		s.voices[i], s.loudest[i], dst[i] = VoiceDiffusion, d, d
		if a > 0 {
			h := a * s.scale.Unclaimed.apply(enc.Unclaimed[i]) / (1 + a)
			if dst[i] = d + h; h > d {
				s.voices[i], s.loudest[i] = VoiceUnclaimed, h
			}
		}
	}
	s.base = append(s.base[:0], dst...)
	w, h := enc.LogitsWidth, enc.LogitsHeight
	s.around = s.boxTo(s.around, s.base, w, h)
	if s.rules.Upsample == models.UpsampleGuided {
		if len(enc.Guide) != 3*n {
			return errNoColours
		}
		s.smooth = append(s.smooth[:0], s.base...)
		s.guided.filterTrous(s.smooth, enc.Guide, w, h)
		for i, b := range s.around {
			dst[i] += sigmoid(sizedSlope*(b-float32(s.rules.Large))) * (s.smooth[i] - s.base[i])
		}
	}
	if all {
		s.addContrast(dst, enc)
		s.addMotion(dst, enc)
	}
	return nil
}

// addContrast adds what the segmenter is less sure of than in the surroundings.
func (s *sized) addContrast(dst []float32, enc *Encoding) {
	if len(enc.LSE) != len(dst) || s.rules.LSEWeight == 0 || s.scale.Contrast.Deviation == 0 {
		return
	}
	for i, u := range s.contrast(enc) {
		part := float32(s.rules.LSEWeight) * max(0, s.scale.Contrast.apply(u)) *
			sigmoid(sizedSlope*(s.base[i]-sizedStrange)) * sigmoid(sizedSlope*(float32(s.rules.Crowded)-s.around[i]))
		if part > s.loudest[i] {
			s.voices[i], s.loudest[i] = VoiceContrast, part
		}
		dst[i] += part
	}
}

// addMotion adds what moves faster than it should.
func (s *sized) addMotion(dst []float32, enc *Encoding) {
	v := enc.Motion
	if len(v.Values) == 0 || s.scale.Motion == nil || s.rules.MotionWeight == 0 {
		return
	}
	s.odd = s.scale.Motion.apply(s.odd, v)
	s.moves = resizeTo(s.moves, s.odd, v.Width, v.Height, enc.LogitsWidth, enc.LogitsHeight)
	for i, m := range s.moves {
		part := float32(s.rules.MotionWeight) * m
		if part > s.loudest[i] {
			s.voices[i] = VoiceMotion
		}
		dst[i] += part
	}
}

// Contrast returns the uncertainty of the segmenter minus its mean over a square of so many cells around each cell.
func Contrast(enc *Encoding, side int) []float32 { return (&sized{radius: side / 2}).contrast(enc) }

// contrast returns the uncertainty of the segmenter minus its mean over the surroundings. The result is valid until the
// next call.
func (s *sized) contrast(enc *Encoding) []float32 {
	s.box = s.boxTo(s.box, enc.LSE, enc.LogitsWidth, enc.LogitsHeight)
	for i, v := range enc.LSE {
		s.box[i] -= v
	}
	return s.box
}

// boxTo stores the mean of src (w × h) over a square around each cell in dst and returns it; a short dst is replaced. Beyond
// the borders the map is mirrored, border cells included.
func (s *sized) boxTo(dst, src []float32, w, h int) []float32 {
	dst = grow(dst, w*h)
	r := s.radius
	s.rows = grow(s.rows, w*h)
	s.column = grow(s.column, max(w, h)+2*r+1)
	for y := range h {
		s.slide(w, r, func(x int) float64 { return float64(src[y*w+x]) }, func(x int, mean float64) { s.rows[y*w+x] = mean })
	}
	for x := range w {
		s.slide(h, r, func(y int) float64 { return s.rows[y*w+x] }, func(y int, mean float64) { dst[y*w+x] = float32(mean) })
	}
	return dst
}

// slide passes the means over 2r+1 of n values around each to put.
func (s *sized) slide(n, r int, get func(int) float64, put func(int, float64)) {
	sums := s.column[:n+2*r+1]
	sums[0] = 0
	for i := range n + 2*r {
		sums[i+1] = sums[i] + get(mirror(i-r, n))
	}
	for i := range n {
		put(i, (sums[i+2*r+1]-sums[i])/float64(2*r+1))
	}
}

// mirror returns the index in 0 … n-1 that the index i of a series shows which is mirrored at both ends, ends included.
func mirror(i, n int) int {
	i %= 2 * n
	if i < 0 {
		i += 2 * n
	}
	if i >= n {
		return 2*n - 1 - i
	}
	return i
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }
