package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/oodcast/oodcast/detector"
)

// sample is a uniform random sample of bounded size (reservoir sampling) of the tokens seen or, with a window, of squares
// of window × window tokens.
type sample struct {
	channels int
	limit    int // largest number of tokens
	window   int // 0 samples single tokens
	seen     int
	data     []float32 // tokens × channels; the tokens of a square are neighbours
}

// unit returns the number of tokens that stay together.
func (s *sample) unit() int { return max(1, s.window*s.window) }

func (s *sample) tokens() int { return len(s.data) / max(1, s.channels) }

// add offers the tokens of one encoding or, with a window, squares at random positions: as many as fit side by side.
func (s *sample) add(r *rand.Rand, enc *detector.Encoding) {
	if s.window == 0 {
		for i := range enc.Width * enc.Height {
			s.offer(r, enc.Features[i*s.channels:][:s.channels])
		}
		return
	}
	square := make([]float32, 0, s.unit()*s.channels)
	for range max(1, enc.Width/s.window) * max(1, enc.Height/s.window) {
		x, y := r.IntN(max(1, enc.Width-s.window+1)), r.IntN(max(1, enc.Height-s.window+1))
		square = square[:0]
		for i := range s.unit() { // a grid that is smaller than a square is extended by repeating its edge
			token := min(y+i/s.window, enc.Height-1)*enc.Width + min(x+i%s.window, enc.Width-1)
			square = append(square, enc.Features[token*s.channels:][:s.channels]...)
		}
		s.offer(r, square)
	}
}

func (s *sample) offer(r *rand.Rand, unit []float32) {
	s.seen++
	limit := s.limit / s.unit()
	if s.tokens() < limit*s.unit() {
		s.data = append(s.data, unit...)
		return
	}
	if at := r.IntN(s.seen); at < limit {
		copy(s.data[at*len(unit):], unit)
	}
}

// normalisation maps x to (x - shift)/scale, with one shift and scale per channel.
type normalisation struct {
	shift, scale []float32
}

// perChannel returns the normalisation that gives every channel mean 0 and deviation 1.
func (s *sample) perChannel() (normalisation, error) {
	c, n := s.channels, float64(s.tokens())
	sum, squares := make([]float64, c), make([]float64, c)
	for i, v := range s.data {
		sum[i%c] += float64(v)
	}
	for i, v := range s.data {
		d := float64(v) - sum[i%c]/n
		squares[i%c] += d * d
	}
	norm := normalisation{make([]float32, c), make([]float32, c)}
	widest := 0.0
	for ch := range c {
		norm.shift[ch] = float32(sum[ch] / n)
		widest = max(widest, math.Sqrt(squares[ch]/n))
	}
	for ch := range c {
		// A channel that never varies in this footage must not amplify later variations without bound.
		norm.scale[ch] = float32(max(math.Sqrt(squares[ch]/n), 1e-2*widest))
	}
	return norm, norm.check()
}

// global returns the paper's normalisation: it centres each channel on the middle of its range and divides all channels by
// half the widest range.
func (s *sample) global() (normalisation, error) {
	c := s.channels
	lo, hi := slices.Clone(s.data[:c]), slices.Clone(s.data[:c])
	for i, v := range s.data {
		lo[i%c], hi[i%c] = min(lo[i%c], v), max(hi[i%c], v)
	}
	norm := normalisation{make([]float32, c), make([]float32, c)}
	half := float32(0)
	for ch := range c {
		norm.shift[ch] = (lo[ch] + hi[ch]) / 2
		half = max(half, (hi[ch]-lo[ch])/2)
	}
	for ch := range c {
		norm.scale[ch] = half
	}
	return norm, norm.check()
}

func (n normalisation) check() error {
	for ch, s := range n.scale {
		if !(s > 0) || math.IsInf(float64(s), 0) || math.IsNaN(float64(n.shift[ch])) {
			return fmt.Errorf("fit: features do not vary or are not finite (channel %d, scale %v)", ch, s)
		}
	}
	return nil
}

// apply normalises the sample in place and returns the mean standard deviation of its channels.
func (s *sample) apply(n normalisation) (std float64) {
	c := s.channels
	sum, squares := make([]float64, c), make([]float64, c)
	for i, v := range s.data {
		x := (v - n.shift[i%c]) / n.scale[i%c]
		s.data[i] = x
		sum[i%c] += float64(x)
		squares[i%c] += float64(x) * float64(x)
	}
	count := float64(s.tokens())
	for ch := range c {
		mean := sum[ch] / count
		std += math.Sqrt(max(0, squares[ch]/count-mean*mean)) / float64(c)
	}
	return std
}
