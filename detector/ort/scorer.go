package ort

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

var _ detector.BatchScorer = (*Scorer)(nil)

// ScorerConfig describes a denoiser and how it is run.
type ScorerConfig struct {
	Denoiser  models.DenoiserConfig
	Weights   checkpoint.Tensors
	Noise     string // independent, antithetic or shared
	Draws     int    // number of noise draws per timestep; 0 = 1
	Score     string // cosine or mse
	Seed      uint64
	Timesteps []int // all timesteps that will be scored; none = any
	// Rows is how many rows (tokens × timesteps × signs) one run takes; 0 chooses a number that fits the cache on a CPU and
	// a large one on a GPU.
	Rows int
}

// Rows of one run. On a CPU, the activations of 400 rows stay in the cache (1000 rows cost 5 % more, 2000 15 %). A GPU is
// fastest with few, large runs.
const (
	rowsCPU = 400
	rowsGPU = 1 << 17
)

// The scorer caches a plan for each grid, region and list of timesteps in use. It always keeps plansKept plans (per draw),
// and more as long as their noise is small.
const (
	plansKept = 3
	noiseKept = 64 << 20 // bytes
)

// Scorer runs the scoring graph on tiles of tokens. On a CPU it has one single-threaded session per core, which is faster
// than one session with as many threads. Scores depend only on features, timesteps and seed, not on tiles or threads.
type Scorer struct {
	sessions []*Session
	channels int
	signs    int // evaluations of each noise vector
	rows     int
	window   int // side length of the squares that the denoiser sees at once, or 0
	draws    int
	noise    diffusion.Noise
	plans    []*plan // most recently used first
	gathered []float32
	one      []float32 // the scores of one draw
	scored   atomic.Uint64
}

// NewScorer builds and prepares the scoring graph. The caller closes the scorer.
func NewScorer(cfg ScorerConfig, opts Options) (_ *Scorer, err error) {
	model, err := nets.ScoringGraph(cfg.Denoiser, cfg.Weights, nets.ScoringOptions{
		Noise: cfg.Noise, Score: cfg.Score, Timesteps: cfg.Timesteps,
	})
	if err != nil {
		return nil, fmt.Errorf("scorer: %w", err)
	}
	s := &Scorer{
		channels: cfg.Denoiser.Channels, signs: 1, rows: cfg.Rows, window: cfg.Denoiser.Window,
		draws: max(1, cfg.Draws), noise: diffusion.Noise{Seed: cfg.Seed, Shared: cfg.Noise == models.NoiseShared},
	}
	if cfg.Noise == models.NoiseAntithetic {
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

// rowsFor returns how many rows one run takes on a provider.
func rowsFor(p Provider) int {
	if p == CPU {
		return rowsCPU
	}
	return rowsGPU
}

// perCore returns the sessions that share the tiles of a frame: one on a GPU, one per thread on a CPU. After an error, no
// session stays open.
func perCore(model []byte, opts Options) (sessions []*Session, err error) {
	workers := opts.threads()
	opts.Threads = 1
	for len(sessions) == 0 || len(sessions) < workers && sessions[0].Provider() == CPU {
		next, err := NewSession(model, opts)
		if err != nil {
			return nil, errors.Join(err, closeAll(sessions))
		}
		sessions = append(sessions, next)
		opts.Provider = next.Provider() // do not try again to use a missing provider
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

// Provider returns the provider in use.
func (s *Scorer) Provider() Provider { return s.sessions[0].Provider() }

// Note returns why the provider is not the requested one; empty if it is.
func (s *Scorer) Note() string { return s.sessions[0].Note() }

// ScoreTo stores e_t of n features in dst, as len(timesteps) rows of n. It is not safe for concurrent use.
func (s *Scorer) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	return s.score([][]float32{dst}, [][]float32{features}, n, nil, timesteps)
}

// ScoreAllTo is ScoreTo for several pictures of one size. It scores the given tokens, which are in ascending order, or all
// tokens if tokens is nil.
func (s *Scorer) ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error {
	if len(features) == 0 || len(dst) != len(features) {
		return fmt.Errorf("score: got %d pictures and room for %d, want at least one and as much room", len(features), len(dst))
	}
	c := s.channels
	if tokens == nil {
		return s.score(dst, features, len(features[0])/c, nil, timesteps)
	}
	n := len(tokens)
	if n == 0 || tokens[0] < 0 || !slices.IsSorted(tokens) || c*(tokens[n-1]+1) > len(features[0]) {
		return fmt.Errorf("score: got %d tokens, want some of %d in ascending order", n, len(features[0])/c)
	}
	if cap(s.gathered) < n*c*len(features) {
		s.gathered = make([]float32, n*c*len(features))
	}
	some := make([][]float32, len(features))
	for p, all := range features {
		if len(all) != len(features[0]) {
			return fmt.Errorf("score: got pictures of %d and %d features, want one size", len(features[0]), len(all))
		}
		some[p] = s.gathered[p*n*c:][:n*c]
		for i, token := range tokens {
			copy(some[p][i*c:][:c], all[token*c:])
		}
	}
	return s.score(dst, some, n, tokens, timesteps)
}

// Scored returns how many rows (tokens × timesteps) the scorer has scored. It is safe for concurrent use.
func (s *Scorer) Scored() uint64 { return s.scored.Load() }

// score scores the features of n tokens of each picture. tokens are the indices of their noise; nil stands for 0 … n-1.
func (s *Scorer) score(dst, features [][]float32, n int, tokens, timesteps []int) error {
	if s.window > 0 {
		return errWindow
	}
	for i := range features {
		if len(features[i]) != n*s.channels || len(dst[i]) != n*len(timesteps) {
			return fmt.Errorf("score: got %d features and room for %d scores, want %d and %d",
				len(features[i]), len(dst[i]), n*s.channels, n*len(timesteps))
		}
	}
	if s.draws == 1 {
		return s.draw(dst, features, n, tokens, timesteps, 0)
	}
	size := n * len(timesteps)
	if cap(s.one) < size*len(dst) {
		s.one = make([]float32, size*len(dst))
	}
	one := make([][]float32, len(dst))
	for i := range dst {
		one[i] = s.one[i*size:][:size]
		clear(dst[i])
	}
	for number := range s.draws {
		if err := s.draw(one, features, n, tokens, timesteps, number); err != nil {
			return err
		}
		for i := range dst {
			for j, v := range one[i] {
				dst[i][j] += v / float32(s.draws)
			}
		}
	}
	return nil
}

// draw stores the scores for one draw of the noise in dst. A run takes one tile of as many pictures as fit.
func (s *Scorer) draw(dst, features [][]float32, n int, tokens, timesteps []int, number int) error {
	p, err := s.plan(n, number, tokens, timesteps)
	if err != nil {
		return fmt.Errorf("score: %w", err)
	}
	s.scored.Add(uint64(len(dst) * n * len(timesteps)))
	together := min(len(dst), max(1, s.rows/(p.tiles[0].tokens*len(timesteps)*s.signs)))
	parts := (len(dst) + together - 1) / together
	var next atomic.Int64
	errs := make([]error, len(s.sessions))
	var wg sync.WaitGroup
	for i, session := range s.sessions {
		wg.Go(func() {
			var buf []float32
			for errs[i] == nil {
				k := int(next.Add(1)) - 1
				if k >= parts*len(p.tiles) {
					return
				}
				from := k % parts * together
				to := min(from+together, len(dst))
				t := p.tiles[k/parts]
				errs[i] = t.run(session, p, dst[from:to], t.rowsOf(&buf, features[from:to], s.channels), s.channels)
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
