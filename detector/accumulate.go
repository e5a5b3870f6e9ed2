package detector

import (
	"slices"
	"sync/atomic"
)

// accumulator combines the scores of successive frames. Each frame is scored at the next |T| timesteps of the bundle's
// order, and the map combines the scores of the last frames: on a still picture |T|=5 over 5 frames equals |T|=25.
//
// Where the picture has changed since a frame was scored, the scores of that frame no longer apply. For a token whose
// feature has changed, they are replaced by the scores that the other frames predict, so that the token has the value that
// it would have without them, on the same scale.
type accumulator struct {
	frames   int // number of frames to combine
	compound *Compound

	order      []int // timesteps to score, block after block
	n          int   // timesteps per block
	tokens     int   // tokens of a frame
	blocks     []block
	next       int       // index of the block to score next
	held       int       // number of blocks with scores
	spread     []float64 // per channel
	weights    []float64 // per held timestep
	normalMean []float64 // mean score on normal footage, per held timestep
	subsets    map[uint32]*subset
	scores     []float32
	forget     atomic.Bool // drop all blocks at the next frame
}

// block holds the scores and the features of one frame.
type block struct {
	scores   []float32 // n × tokens
	features []float32 // tokens × channels
}

// subset describes the weighted sum of the scores of some blocks.
type subset struct {
	moments     Moments // of the sum on normal footage
	otherWeight float64 // total weight of the timesteps in the other blocks
}

// maxFeatureChange is the largest squared change of a feature at which a token still shows the same content, as a fraction
// of the mean squared difference between two tokens of the picture.
const maxFeatureChange = 0.1

// plan returns the timesteps to score on the next frame, a part of order. It drops the held scores if the picture has
// another size or |T| has changed.
func (a *accumulator) plan(order []int, n, tokens int) []int {
	count := min(a.frames, len(order)/n, 32)
	order = order[:count*n]
	if a.forget.Swap(false) || n != a.n || tokens != a.tokens || !slices.Equal(order, a.order) {
		a.order, a.n, a.tokens, a.next, a.held = order, n, tokens, 0, 0
		a.blocks, a.subsets = make([]block, count), map[uint32]*subset{}
	}
	return a.order[a.next*n:][:n]
}

// combine adds the scores of a frame at the planned timesteps. It returns the scores of all held timesteps, and these
// timesteps. The result is valid until the next call.
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
		if same := a.unchanged(token, now, enc.Channels); same != 1<<a.held-1 {
			if err := a.predict(token, same); err != nil {
				return nil, nil, err
			}
		}
	}
	return a.scores, a.order[:a.held*a.n], nil
}

// weigh updates the weights and the normal means for the held timesteps.
func (a *accumulator) weigh() error {
	timesteps, cal := a.order[:a.held*a.n], &a.compound.cal
	clear(a.subsets)
	a.normalMean = a.normalMean[:0]
	for _, t := range timesteps {
		a.normalMean = append(a.normalMean, cal.Mean[slices.Index(cal.Timesteps, t)])
	}
	var err error
	a.weights, err = a.compound.schedule.Weights(a.compound.aggregate, timesteps)
	return err
}

// measureSpread sets spread to twice the variance of each channel over the picture: the mean squared difference of two
// tokens.
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

// unchanged returns the blocks, one bit each, whose frame shows the same content at a token as the frame of block now.
func (a *accumulator) unchanged(token, now, channels int) uint32 {
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
		if sum <= maxFeatureChange*float64(channels) {
			bits |= 1 << i
		}
	}
	return bits
}

// predict replaces the scores of a token in all but the given blocks by the mean of normal footage plus an offset. The
// offset is chosen such that the standardised sum over all blocks equals the standardised sum over the given ones.
func (a *accumulator) predict(token int, same uint32) error {
	all, err := a.subset(1<<a.held - 1)
	if err != nil {
		return err
	}
	known, err := a.subset(same)
	if err != nil {
		return err
	}
	sum := 0.0
	for k, w := range a.weights {
		if same>>(k/a.n)&1 == 1 {
			sum += w * float64(a.scores[k*a.tokens+token])
		}
	}
	above := sum - known.moments.Mean
	offset := (all.moments.Std/known.moments.Std*above - above) / known.otherWeight
	for k, normal := range a.normalMean {
		if same>>(k/a.n)&1 == 0 {
			a.scores[k*a.tokens+token] = float32(normal + offset)
		}
	}
	return nil
}

// subset returns the description of the weighted sum over some blocks, one bit each.
func (a *accumulator) subset(bits uint32) (*subset, error) {
	if s := a.subsets[bits]; s != nil {
		return s, nil
	}
	s := &subset{}
	var steps []int
	var weights []float64
	for k, w := range a.weights {
		if bits>>(k/a.n)&1 == 1 {
			steps, weights = append(steps, a.order[k]), append(weights, w)
		} else {
			s.otherWeight += w
		}
	}
	var err error
	if s.moments, err = a.compound.cal.moments(steps, weights); err != nil {
		return nil, err
	}
	a.subsets[bits] = s
	return s, nil
}
