package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// plan holds everything that stays the same from frame to frame: the division into tiles and the noise.
type plan struct {
	n, draw   int
	tokens    []int // nil stands for 0 … n-1
	timesteps []int
	steps     *Tensor // int64[K]
	tiles     []*tile
}

// tile is a range of tokens.
type tile struct {
	first, tokens int
	noise         *Tensor // [K, tokens, C]
}

// plan returns the plan for n tokens and a draw of the noise. Plans are cached.
func (s *Scorer) plan(n, draw int, tokens, timesteps []int) (*plan, error) {
	at := slices.IndexFunc(s.plans, func(p *plan) bool {
		return p.n == n && p.draw == draw && (p.tokens == nil) == (tokens == nil) && slices.Equal(p.timesteps, timesteps) &&
			slices.Equal(p.tokens, tokens)
	})
	if at >= 0 {
		p := s.plans[at]
		s.plans = slices.Insert(slices.Delete(s.plans, at, at+1), 0, p)
		return p, nil
	}
	p, err := s.newPlan(n, draw, tokens, timesteps)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	s.plans = slices.Insert(s.plans, 0, p)
	for len(s.plans) > plansKept*s.draws && s.noiseBytes() > noiseKept {
		last := len(s.plans) - 1
		err = errors.Join(err, s.plans[last].close())
		s.plans = slices.Delete(s.plans, last, last+1)
	}
	return p, err
}

func (s *Scorer) noiseBytes() int {
	rows := 0
	for _, p := range s.plans {
		rows += p.n * len(p.timesteps)
	}
	return 4 * s.channels * rows
}

func (s *Scorer) newPlan(n, draw int, tokens, timesteps []int) (*plan, error) {
	p := &plan{n: n, draw: draw, tokens: slices.Clone(tokens), timesteps: slices.Clone(timesteps)}
	k := len(timesteps)
	if n < 1 || k < 1 {
		return p, fmt.Errorf("got %d tokens and %d timesteps, want at least one of each", n, k)
	}
	steps := make([]int64, k)
	for i, t := range timesteps {
		steps[i] = int64(t)
	}
	var err error
	if p.steps, err = NewTensor([]int64{int64(k)}, steps); err != nil {
		return p, err
	}
	// Tiles of equal size, so many that every session stays busy to the end.
	count := max(1, (n*k*s.signs+s.rows-1)/s.rows)
	count = min(n, (count+len(s.sessions)-1)/len(s.sessions)*len(s.sessions))
	for i := range count {
		t := &tile{first: i * n / count, tokens: (i+1)*n/count - i*n/count}
		p.tiles = append(p.tiles, t)
		if t.noise, err = NewTensor[float32]([]int64{int64(k), int64(t.tokens), int64(s.channels)}, nil); err != nil {
			return p, err
		}
	}
	s.fillNoise(p)
	return p, nil
}

// fillNoise draws the noise of all tiles. It uses all cores.
func (s *Scorer) fillNoise(p *plan) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(p.tiles); i = next.Add(1) - 1 {
				t := p.tiles[i]
				data, size := Data[float32](t.noise), t.tokens*s.channels
				for k, step := range p.timesteps {
					s.fillRows(data[k*size:][:size], p, step, t.first)
				}
			}
		})
	}
	wg.Wait()
}

// fillRows draws the noise of a tile's tokens at timestep t. A token's noise depends only on its position in the grid.
func (s *Scorer) fillRows(dst []float32, p *plan, t, first int) {
	noise := s.noise
	noise.Draw = uint64(p.draw)
	if p.tokens == nil {
		noise.FillTo(dst, t, first, s.channels)
		return
	}
	for i := 0; i < len(dst); i += s.channels {
		noise.FillTo(dst[i:][:s.channels], t, p.tokens[first+i/s.channels], s.channels)
	}
}

// rowsOf returns the features of the tile in all pictures, one after the other. It joins those of several pictures in
// buf.
func (t *tile) rowsOf(buf *[]float32, features [][]float32, channels int) []float32 {
	if len(features) == 1 {
		return features[0][t.first*channels:][:t.tokens*channels]
	}
	*buf = (*buf)[:0]
	for _, f := range features {
		*buf = append(*buf, f[t.first*channels:][:t.tokens*channels]...)
	}
	return *buf
}

// run scores the rows of the tile in len(dst) pictures and copies the results to their positions in dst.
func (t *tile) run(session *Session, p *plan, dst [][]float32, rows []float32, channels int) error {
	n := len(dst) * t.tokens
	x, err := NewTensor([]int64{int64(n), int64(channels)}, rows)
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	y, err := NewTensor[float32]([]int64{int64(len(p.timesteps)), int64(n)}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = y.Close() }()
	if err := session.Run([]*Tensor{x, t.noise, p.steps}, []*Tensor{y}); err != nil {
		return err
	}
	scores := Data[float32](y)
	for k := range p.timesteps {
		for i := range dst {
			copy(dst[i][k*p.n+t.first:][:t.tokens], scores[k*n+i*t.tokens:])
		}
	}
	return nil
}

func (p *plan) close() error {
	if p == nil {
		return nil
	}
	err := p.steps.Close()
	for _, t := range p.tiles {
		err = errors.Join(err, t.noise.Close())
	}
	return err
}
