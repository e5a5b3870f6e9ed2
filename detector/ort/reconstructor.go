package ort

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models/nets"
)

var _ detector.Scorer = (*Reconstructor)(nil)

// Reconstructor scores features by their reconstruction error: it noises them to t, runs the whole reverse chain of t+1
// steps, and takes the mean squared error (Wyatt et al., "AnoDDPM", CVPRW 2022, applied to features). It needs t+1
// evaluations where a [Scorer] needs one or two. Scores depend only on features, timesteps and seed.
type Reconstructor struct {
	sessions     []*Session
	channels     int
	shift, scale []float32
	rows         int
	last         int
	noise        diffusion.Noise
	schedule     *diffusion.Schedule
}

// NewReconstructor builds and prepares the graph of a reverse step. It ignores cfg.Noise and cfg.Score; cfg.Timesteps must
// contain all timesteps that ScoreTo will be called with. The caller closes the reconstructor.
func NewReconstructor(cfg ScorerConfig, opts Options) (_ *Reconstructor, err error) {
	if err := diffusion.ValidateTimesteps(cfg.Timesteps); err != nil {
		return nil, fmt.Errorf("reconstructor: %w", err)
	}
	r := &Reconstructor{
		channels: cfg.Denoiser.Channels, rows: cfg.Rows, last: slices.Max(cfg.Timesteps),
		noise: diffusion.Noise{Seed: cfg.Seed}, schedule: diffusion.NewSchedule(),
	}
	model, err := nets.ReverseGraph(cfg.Denoiser, cfg.Weights, r.last)
	if err != nil {
		return nil, fmt.Errorf("reconstructor: %w", err)
	}
	if r.shift, r.scale, err = nets.Normalisation(cfg.Weights, r.channels); err != nil {
		return nil, fmt.Errorf("reconstructor: %w", err)
	}
	if r.sessions, err = perCore(model, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("reconstructor: %w", err), r.Close())
	}
	if r.rows <= 0 {
		r.rows = rowsFor(r.sessions[0].Provider())
	}
	return r, nil
}

// ScoreTo stores the reconstruction errors of n features in dst, len(timesteps) rows of n. It is not safe for concurrent
// use.
func (r *Reconstructor) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	if len(features) != n*r.channels || len(dst) != n*len(timesteps) {
		return fmt.Errorf("reconstruct: got %d features and room for %d scores, want %d and %d",
			len(features), len(dst), n*r.channels, n*len(timesteps))
	}
	for _, t := range timesteps {
		if t < 0 || t > r.last {
			return fmt.Errorf("reconstruct: got timestep %d, want 0 to %d", t, r.last)
		}
	}
	tiles := (n + r.rows - 1) / r.rows
	var next atomic.Int64
	errs := make([]error, len(r.sessions))
	var wg sync.WaitGroup
	for i, session := range r.sessions {
		wg.Go(func() {
			for errs[i] == nil {
				job := int(next.Add(1)) - 1
				if job >= tiles*len(timesteps) {
					return
				}
				k, first := job/tiles, job%tiles*r.rows
				count := min(r.rows, n-first)
				x := features[first*r.channels:][:count*r.channels]
				errs[i] = r.tile(session, dst[k*n+first:][:count], x, first, timesteps[k])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("reconstruct %d tokens at %v: %w", n, timesteps, err)
	}
	return nil
}

// tile reconstructs the tokens from index first on, noised to t.
func (r *Reconstructor) tile(session *Session, dst, features []float32, first, t int) error {
	x0 := make([]float32, len(features))
	for i, v := range features {
		c := i % r.channels
		x0[i] = (v - r.shift[c]) / r.scale[c]
	}
	eps := r.noise.FillTo(make([]float32, len(x0)), t, first, r.channels)
	xt := r.schedule.NoiseTo(eps, x0, eps, t)
	shape := []int64{int64(len(dst)), int64(r.channels)}
	var states [2]*Tensor // x_t and x_{t-1}, alternating
	step, err := NewTensor([]int64{1}, []int64{0})
	defer func() { _ = errors.Join(step.Close(), states[0].Close(), states[1].Close()) }()
	if err != nil {
		return err
	}
	for i, data := range [][]float32{xt, make([]float32, len(xt))} {
		if states[i], err = NewTensor(shape, data); err != nil {
			return err
		}
	}
	for ; t >= 0; t-- {
		Data[int64](step)[0] = int64(t)
		if err := session.Run([]*Tensor{states[0], step}, []*Tensor{states[1]}); err != nil {
			return err
		}
		states[0], states[1] = states[1], states[0]
	}
	x := Data[float32](states[0])
	for i := range dst {
		row := i * r.channels
		dst[i] = diffusion.MSE(x0[row:][:r.channels], x[row:][:r.channels])
	}
	return nil
}

// Close frees the sessions. It may be called more than once.
func (r *Reconstructor) Close() error { return closeAll(r.sessions) }
