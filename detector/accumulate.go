package detector

import (
	"slices"
	"sync/atomic"
)

// accumulator combines the scores of successive frames. Each frame is scored at the next |T| timesteps of the bundle's
// order, and the map is made of the last frames' scores together: on a still picture |T|=5 over 5 frames is |T|=25.
//
// Where the picture has changed since a frame was scored, that frame's scores say nothing about what is there now. A
// token whose feature has changed does without them: they are replaced by what its other scores predict, so that the token
// has the value that it would have without them, on the same scale.
type accumulator struct {
	frames   int // how many to combine
	compound *Compound

	order  []int // that is scored, block after block
	n      int   // timesteps of a block
	tokens int
	blocks []block
	next   int       // to be scored
	held   int       // blocks that have been scored since the start
	spread []float64 // per channel
	weight []float64 // per timestep held
	normal []float64 // mean on normal footage, per timestep held
	kinds  map[uint32]*subset
	scores []float32
	forget atomic.Bool
}

// block is what one frame left behind.
type block struct {
	scores   []float32 // n × tokens
	features []float32 // tokens × channels
}

// subset is what is known of the sum over some blocks.
type subset struct {
	moments Moments
	missing float64 // sum of the weights of the others
}

// accumulateSame is the squared change of a feature, in parts of what two tokens of the picture differ by on average, up to
// which it is the same thing that is seen.
const accumulateSame = 0.1

// plan returns the timesteps to score on the next frame, a part of order. Whatever was held is forgotten when the picture
// has another size or |T| has changed.
func (a *accumulator) plan(order []int, n, tokens int) []int {
	count := min(a.frames, len(order)/n, 32)
	order = order[:count*n]
	if a.forget.Swap(false) || n != a.n || tokens != a.tokens || !slices.Equal(order, a.order) {
		a.order, a.n, a.tokens, a.next, a.held = order, n, tokens, 0, 0
		a.blocks, a.kinds = make([]block, count), map[uint32]*subset{}
	}
	return a.order[a.next*n:][:n]
}

// combine takes in the scores of a frame at the planned timesteps, and returns those of all timesteps that are held, and
// which these are. The result is valid until the next call.
func (a *accumulator) combine(scores []float32, enc *Encoding) ([]float32, []int, error) {
	now := a.next
	b := &a.blocks[now]
	b.scores = append(b.scores[:0], scores...)
	b.features = append(b.features[:0], enc.Features...)
	a.next = (now + 1) % len(a.blocks)
	if a.held < len(a.blocks) {
		a.held++
		if err := a.weigh(); err != nil {
			return nil, nil, err
		}
	}
	size := a.n * a.tokens
	a.scores = grow(a.scores, a.held*size)
	for i, b := range a.blocks[:a.held] {
		copy(a.scores[i*size:], b.scores)
	}
	a.measureSpread(enc)
	for token := range a.tokens {
		if same := a.same(token, now, enc.Channels); same != 1<<a.held-1 {
			if err := a.predict(token, same); err != nil {
				return nil, nil, err
			}
		}
	}
	return a.scores, a.order[:a.held*a.n], nil
}

// weigh prepares what depends on the timesteps that are held.
func (a *accumulator) weigh() error {
	timesteps, cal := a.order[:a.held*a.n], &a.compound.cal
	clear(a.kinds)
	a.normal = a.normal[:0]
	for _, t := range timesteps {
		a.normal = append(a.normal, cal.Mean[slices.Index(cal.Timesteps, t)])
	}
	var err error
	a.weight, err = a.compound.schedule.Weights(a.compound.aggregate, timesteps)
	return err
}

// measureSpread sets twice the variance of each channel over the picture: the mean squared difference of two tokens.
func (a *accumulator) measureSpread(enc *Encoding) {
	c := enc.Channels
	mean, square := make([]float64, c), make([]float64, c)
	for i := 0; i < len(enc.Features); i += c {
		for j, v := range enc.Features[i:][:c] {
			mean[j] += float64(v)
			square[j] += float64(v) * float64(v)
		}
	}
	a.spread = a.spread[:0]
	n := float64(a.tokens)
	for j := range c {
		a.spread = append(a.spread, 2*max(square[j]/n-mean[j]*mean[j]/(n*n), 1e-12))
	}
}

// same returns the blocks, one bit each, that saw what block now sees at a token.
func (a *accumulator) same(token, now, channels int) uint32 {
	seen := a.blocks[now].features[token*channels:][:channels]
	bits := uint32(1) << now
	for i, b := range a.blocks[:a.held] {
		if i == now {
			continue
		}
		sum := 0.0
		for j, v := range b.features[token*channels:][:channels] {
			d := float64(v - seen[j])
			sum += d * d / a.spread[j]
		}
		if sum <= accumulateSame*float64(channels) {
			bits |= 1 << i
		}
	}
	return bits
}

// predict replaces the scores of a token in all blocks but the given by the mean of normal footage plus what makes the
// standardised sum over all blocks that of the given ones.
func (a *accumulator) predict(token int, same uint32) error {
	all, err := a.subset(1<<a.held - 1)
	if err != nil {
		return err
	}
	part, err := a.subset(same)
	if err != nil {
		return err
	}
	sum := 0.0
	for k, w := range a.weight {
		if same>>(k/a.n)&1 == 1 {
			sum += w * float64(a.scores[k*a.tokens+token])
		}
	}
	above := sum - part.moments.Mean
	offset := (all.moments.Std/part.moments.Std*above - above) / part.missing
	for k, normal := range a.normal {
		if same>>(k/a.n)&1 == 0 {
			a.scores[k*a.tokens+token] = float32(normal + offset)
		}
	}
	return nil
}

// subset returns the moments of the weighted sum over some blocks.
func (a *accumulator) subset(bits uint32) (*subset, error) {
	if s := a.kinds[bits]; s != nil {
		return s, nil
	}
	s := &subset{}
	var steps []int
	var weights []float64
	for k, w := range a.weight {
		if bits>>(k/a.n)&1 == 1 {
			steps, weights = append(steps, a.order[k]), append(weights, w)
		} else {
			s.missing += w
		}
	}
	var err error
	if s.moments, err = a.compound.cal.moments(steps, weights); err != nil {
		return nil, err
	}
	a.kinds[bits] = s
	return s, nil
}
