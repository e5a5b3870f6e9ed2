package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

var _ detector.TokenScorer = (*Scorer)(nil)

// ScorerConfig describes the denoiser and how it is run.
type ScorerConfig struct {
	Denoiser  nets.DenoiserConfig
	Weights   checkpoint.Tensors
	Noise     string // independent, antithetic or shared
	Draws     int    // of the noise of a timestep; 0 = 1
	Score     string // cosine or mse
	Seed      uint64
	Timesteps []int // all that will be asked for; none = any
	// Rows is how many rows (tokens × timesteps × signs) one run takes; 0 = fit for the cache on a CPU, large on a GPU.
	Rows int
}

// Rows of one run. On a CPU activations of 400 rows stay in the cache (1000 cost 5 % more, 2000 15 %); a GPU wants few,
// large runs.
const (
	rowsCPU = 400
	rowsGPU = 1 << 17
)

// How much noise stays cached, one plan for each grid, region and list of timesteps in use: so many plans, and more while
// they are small.
const (
	plansKept = 3
	noiseKept = 64 << 20 // bytes
)

// Scorer runs the scoring graph over tiles of tokens, on a CPU with one single-threaded session a core: faster than one
// session with as many threads. Scores depend on features, timesteps and seed alone, not on tiles or threads.
type Scorer struct {
	sessions []*Session
	channels int
	signs    int // evaluations of each noise vector
	rows     int
	window   int // side of the squares that the denoiser sees at once, or 0
	draws    int
	noise    diffusion.Noise
	plans    []*plan // most recently used first
	gathered []float32
	one      []float32 // the scores of one draw
	scored   atomic.Uint64
}

// NewScorer builds and prepares the scoring graph. The caller closes it.
func NewScorer(cfg ScorerConfig, opts Options) (_ *Scorer, err error) {
	model, err := nets.ScoringGraph(cfg.Denoiser, cfg.Weights, nets.ScoringOptions{
		Noise: cfg.Noise, Score: cfg.Score, Timesteps: cfg.Timesteps,
	})
	if err != nil {
		return nil, fmt.Errorf("scorer: %w", err)
	}
	s := &Scorer{
		channels: cfg.Denoiser.Channels, signs: 1, rows: cfg.Rows, window: cfg.Denoiser.Window,
		draws: max(1, cfg.Draws), noise: diffusion.Noise{Seed: cfg.Seed, Shared: cfg.Noise == nets.NoiseShared},
	}
	if cfg.Noise == nets.NoiseAntithetic {
		s.signs = 2
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("scorer: %w", err), s.Close())
		}
	}()
	if s.sessions, err = perCore(model, opts); err != nil {
		return nil, err
	}
	if s.rows <= 0 {
		s.rows = rowsFor(s.Provider())
	}
	return s, nil
}

// rowsFor is how many rows one run takes on a provider.
func rowsFor(p Provider) int {
	if p == CPU {
		return rowsCPU
	}
	return rowsGPU
}

// perCore makes the sessions that share the tiles of a frame: one on a GPU, one a thread on a CPU. With an error, those
// made so far are closed.
func perCore(model []byte, opts Options) (sessions []*Session, err error) {
	workers := opts.threads()
	opts.Threads = 1
	for len(sessions) == 0 || len(sessions) < workers && sessions[0].Provider() == CPU {
		next, err := NewSession(model, opts)
		if err != nil {
			return nil, errors.Join(err, closeAll(sessions))
		}
		sessions = append(sessions, next)
		opts.Provider = next.Provider() // do not ask again for what is not there
	}
	return sessions, nil
}

func closeAll(sessions []*Session) error {
	var err error
	for _, session := range sessions {
		err = errors.Join(err, session.Close())
	}
	return err
}

// Provider returns what really computes.
func (s *Scorer) Provider() Provider { return s.sessions[0].Provider() }

// Note says why the provider is not the one that was asked for; empty when it is.
func (s *Scorer) Note() string { return s.sessions[0].Note() }

// ScoreTo stores e_t of n features in dst, len(timesteps) rows of n. It is not safe for concurrent use.
func (s *Scorer) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	return s.score(dst, features, n, nil, timesteps)
}

// ScoreTokensTo is ScoreTo for the features of some tokens, given in ascending order.
func (s *Scorer) ScoreTokensTo(dst, features []float32, tokens []int, timesteps []int) error {
	n, c := len(tokens), s.channels
	if n == 0 || tokens[0] < 0 || !slices.IsSorted(tokens) || c*(tokens[n-1]+1) > len(features) {
		return fmt.Errorf("score: got %d tokens, want some of %d in ascending order", n, len(features)/c)
	}
	if cap(s.gathered) < n*c {
		s.gathered = make([]float32, n*c)
	}
	s.gathered = s.gathered[:n*c]
	for i, token := range tokens {
		copy(s.gathered[i*c:][:c], features[token*c:])
	}
	return s.score(dst, s.gathered, n, tokens, timesteps)
}

// Scored returns how many rows (tokens × timesteps) were scored since the start. It is safe for concurrent use.
func (s *Scorer) Scored() uint64 { return s.scored.Load() }

// score scores the features of n tokens; the indices are those of the noise, nil for 0 … n-1.
func (s *Scorer) score(dst, features []float32, n int, tokens, timesteps []int) error {
	if s.window > 0 {
		return errWindow
	}
	if len(features) != n*s.channels || len(dst) != n*len(timesteps) {
		return fmt.Errorf("score: got %d features and room for %d scores, want %d and %d",
			len(features), len(dst), n*s.channels, n*len(timesteps))
	}
	if s.draws == 1 {
		return s.draw(dst, features, n, tokens, timesteps, 0)
	}
	if cap(s.one) < len(dst) {
		s.one = make([]float32, len(dst))
	}
	one := s.one[:len(dst)]
	clear(dst)
	for number := range s.draws {
		if err := s.draw(one, features, n, tokens, timesteps, number); err != nil {
			return err
		}
		for i, v := range one {
			dst[i] += v / float32(s.draws)
		}
	}
	return nil
}

// draw stores the scores with one draw of the noise in dst.
func (s *Scorer) draw(dst, features []float32, n int, tokens, timesteps []int, number int) error {
	p, err := s.plan(n, number, tokens, timesteps)
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	s.scored.Add(uint64(len(dst)))
	var next atomic.Int64
	errs := make([]error, len(s.sessions))
	var wg sync.WaitGroup
	for i, session := range s.sessions {
		wg.Go(func() {
			for errs[i] == nil {
				k := int(next.Add(1)) - 1
				if k >= len(p.tiles) {
					return
				}
				errs[i] = p.tiles[k].run(session, p, dst, features, s.channels)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("score %d tokens at %v: %w", n, timesteps, err)
	}
	return nil
}

// Close frees the sessions and the cached noise. It may be called more than once.
func (s *Scorer) Close() error {
	var err error
	for _, p := range s.plans {
		err = errors.Join(err, p.close())
	}
	s.plans = nil
	return errors.Join(err, closeAll(s.sessions))
}

// plan is what stays the same from frame to frame: the cut into tiles, the noise and the output buffers.
type plan struct {
	n, draw   int
	tokens    []int // nil: 0 … n-1
	timesteps []int
	steps     *Tensor // int64[K]
	tiles     []*tile
}

// tile is a range of tokens.
type tile struct {
	first, tokens int
	noise         *Tensor // [K, tokens, C]
	scores        *Tensor // [K, tokens]
}

// plan returns the plan for n tokens and a draw of the noise, from the cache if it is there.
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
	// As many tiles of equal size as keep every session busy to the end.
	count := max(1, (n*k*s.signs+s.rows-1)/s.rows)
	count = min(n, (count+len(s.sessions)-1)/len(s.sessions)*len(s.sessions))
	for i := range count {
		t := &tile{first: i * n / count, tokens: (i+1)*n/count - i*n/count}
		p.tiles = append(p.tiles, t)
		if t.noise, err = NewTensor[float32]([]int64{int64(k), int64(t.tokens), int64(s.channels)}, nil); err != nil {
			return p, err
		}
		if t.scores, err = NewTensor[float32]([]int64{int64(k), int64(t.tokens)}, nil); err != nil {
			return p, err
		}
	}
	s.fillNoise(p)
	return p, nil
}

// fillNoise draws the noise of all tiles, on all cores.
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

// fillRows draws the noise of a tile's tokens at timestep t. A token's noise depends on its place in the grid alone.
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

// run scores one tile and puts the result in its place in dst.
func (t *tile) run(session *Session, p *plan, dst, features []float32, channels int) error {
	rows := features[t.first*channels:][:t.tokens*channels]
	x, err := NewTensor([]int64{int64(t.tokens), int64(channels)}, rows)
	if err != nil {
		return err
	}
	defer func() { _ = x.Close() }()
	if err := session.Run([]*Tensor{x, t.noise, p.steps}, []*Tensor{t.scores}); err != nil {
		return err
	}
	scores := Data[float32](t.scores)
	for k := range p.timesteps {
		copy(dst[k*p.n+t.first:][:t.tokens], scores[k*t.tokens:])
	}
	return nil
}

func (p *plan) close() error {
	if p == nil {
		return nil
	}
	err := p.steps.Close()
	for _, t := range p.tiles {
		err = errors.Join(err, t.noise.Close(), t.scores.Close())
	}
	return err
}
