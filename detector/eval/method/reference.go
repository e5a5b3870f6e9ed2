package method

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/oodcast/oodcast/detector"
)

// ReferenceTokens is the largest number of tokens of normal footage in a reference, as in cDNP.
const ReferenceTokens = 100_000

// ErrReference is the error of normal footage that is too short or does not vary.
var ErrReference = errors.New("method: too little normal footage")

// Reference is the normal footage that methods compare with.
type Reference struct {
	Channels int
	// Mean of every channel over the tokens. It is subtracted from the tokens, which leaves distances as they are and makes
	// float32 sums more accurate.
	Mean   []float32
	Tokens []float32 // uniform sample minus Mean, tokens × Channels
	// Classes holds the class of every token by the segmenter: the arg-max of the logits summed over the token.
	Classes []int
	Logits  []float32 // mean class logits of every token, tokens × classes; empty without classes
	// Lowest and Highest uncertainty, 1 − logsumexp, of a logit cell.
	Lowest, Highest float64
	// MaxLogit is the mean highest logit of a logit cell.
	MaxLogit float64
	Frames   int
}

// Count returns the number of tokens.
func (r *Reference) Count() int { return len(r.Classes) }

// centred stores features minus the mean of the reference in dst and returns it.
func (r *Reference) centred(dst, features []float32) []float32 {
	dst = append(dst[:0], features...)
	for i := range dst {
		dst[i] -= r.Mean[i%r.Channels]
	}
	return dst
}

// Sampler collects a Reference from encodings of normal footage. It keeps a uniform sample of all tokens in bounded memory
// (Vitter, "Random sampling with a reservoir", 1985).
type Sampler struct {
	ref   Reference
	limit int
	seen  int
	cells int // with logits
	rng   *rand.Rand
}

// NewSampler returns a sampler that keeps at most limit tokens. The same frames and seed give the same sample.
func NewSampler(limit int, seed uint64) *Sampler {
	return &Sampler{
		limit: limit, rng: rand.New(rand.NewPCG(seed, 0)),
		ref: Reference{Lowest: math.Inf(1), Highest: math.Inf(-1)},
	}
}

// Add offers the tokens of one frame.
func (s *Sampler) Add(enc *detector.Encoding) {
	r := &s.ref
	r.Channels = enc.Channels
	r.Frames++
	logits := make([]float32, enc.Classes)
	for i := range enc.Width * enc.Height {
		row := enc.Features[i*enc.Channels:][:enc.Channels]
		s.seen++
		if len(r.Classes) < s.limit {
			r.Tokens = append(r.Tokens, row...)
			r.Classes = append(r.Classes, tokenLogits(logits, enc, i))
			r.Logits = append(r.Logits, logits...)
			continue
		}
		if at := s.rng.IntN(s.seen); at < s.limit {
			copy(r.Tokens[at*enc.Channels:], row)
			r.Classes[at] = tokenLogits(logits, enc, i)
			copy(r.Logits[at*enc.Classes:], logits)
		}
	}
	s.addHighest(enc)
	for _, v := range enc.LSE {
		u := 1 - float64(v)
		r.Lowest, r.Highest = min(r.Lowest, u), max(r.Highest, u)
	}
}

// addHighest updates the mean highest logit.
func (s *Sampler) addHighest(enc *detector.Encoding) {
	if enc.Classes == 0 {
		return
	}
	sum := 0.0
	for _, v := range logitMap(enc, highest).Values {
		sum += float64(v)
	}
	plane := enc.LogitsWidth * enc.LogitsHeight
	s.cells += plane
	s.ref.MaxLogit += (sum - float64(plane)*s.ref.MaxLogit) / float64(s.cells)
}

// Reference returns the reference. The sampler must not be used afterwards.
func (s *Sampler) Reference() (*Reference, error) {
	r := &s.ref
	if r.Count() < 2 {
		return nil, ErrReference
	}
	mean := make([]float64, r.Channels)
	for i, v := range r.Tokens {
		mean[i%r.Channels] += float64(v) / float64(r.Count())
	}
	r.Mean = make([]float32, r.Channels)
	for c, m := range mean {
		r.Mean[c] = float32(m)
	}
	r.Tokens = r.centred(nil, r.Tokens)
	return r, nil
}

// tokenLogits stores the class logits of a token, the mean over its cells, in dst and returns their arg-max.
func tokenLogits(dst []float32, enc *detector.Encoding, token int) int {
	ty, tx := token/enc.Width, token%enc.Width
	y0, y1 := covered(ty, enc.Height, enc.LogitsHeight)
	x0, x1 := covered(tx, enc.Width, enc.LogitsWidth)
	best, class := math.Inf(-1), 0
	plane := enc.LogitsWidth * enc.LogitsHeight
	for k := range enc.Classes {
		sum := 0.0
		for y := y0; y < y1; y++ {
			for x := x0; x < x1; x++ {
				sum += float64(enc.Logits[k*plane+y*enc.LogitsWidth+x])
			}
		}
		dst[k] = float32(sum / float64((y1-y0)*(x1-x0)))
		if sum > best {
			best, class = sum, k
		}
	}
	return class
}

// covered returns the non-empty range of n cells that part i of parts covers.
func covered(i, parts, n int) (from, to int) {
	from = i * n / parts
	return from, max(from+1, (i+1)*n/parts)
}
