package fit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/oodcast/oodcast/detector"
)

// sample is a uniform random sample of bounded size from all tokens seen (reservoir sampling).
type sample struct {
	channels, limit int
	seen            int
	data            []float32 // tokens × channels
}

func (s *sample) tokens() int { return len(s.data) / max(1, s.channels) }

// add offers the tokens of one encoding.
func (s *sample) add(r *rand.Rand, enc *detector.Encoding) {
	for i := range enc.Width * enc.Height {
		row := enc.Features[i*s.channels:][:s.channels]
		s.seen++
		if s.tokens() < s.limit {
			s.data = append(s.data, row...)
			continue
		}
		if at := r.IntN(s.seen); at < s.limit {
			copy(s.data[at*s.channels:], row)
		}
	}
}

// normalisation is x ↦ (x - shift)/scale, one pair a channel.
type normalisation struct {
	shift, scale []float32
}

// perChannel brings every channel to mean 0 and deviation 1.
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
		// A channel that never moves on this footage must not blow up what moves it later.
		norm.scale[ch] = float32(max(math.Sqrt(squares[ch]/n), 1e-2*widest))
	}
	return norm, norm.check()
}

// global is the paper's: each channel centred on the middle of its range, all divided by half the widest range.
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
