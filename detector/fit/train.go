package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// rowsPerTimestep is how many rows of a batch share a timestep. The time layers run once for all of them.
const rowsPerTimestep = 8

// weights holds the denoiser's parameters and the optimiser's moments as flat vectors.
type weights struct {
	Step         int
	Loss         float64 // running mean
	params, m, v []float32
}

// trainer runs optimiser steps. It allocates its tensors once: each step reads parameters and moments from one set and
// writes them to the other.
type trainer struct {
	cfg     Config
	net     models.DenoiserConfig
	lo, hi  int // timesteps that scoring uses
	session *ort.Session
	x, eps  *ort.Tensor
	t       *ort.Tensor
	hyper   *ort.Tensor
	sets    [2][3]*ort.Tensor // params, m, v
	loss    *ort.Tensor
	norm    *ort.Tensor
}

// gradientClip is the largest gradient norm. It is far above the usual 0.1 … 1 and only guards against a rare bad batch.
const gradientClip = 5

func newTrainer(cfg Config, net models.DenoiserConfig, order []int, w *weights, opts ort.Options) (_ *trainer, err error) {
	tr := &trainer{cfg: cfg, net: net, lo: slices.Min(order), hi: slices.Max(order)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("fit: trainer: %w", err), tr.close())
		}
	}()
	share := rowsPerTimestep
	if net.Window > 0 {
		share = net.Tokens()
	}
	model, err := nets.TrainingGraph(net, nets.TrainingOptions{Rows: cfg.Batch, Timesteps: cfg.Batch / share})
	if err != nil {
		return nil, err
	}
	if tr.session, err = ort.NewSession(model, opts); err != nil {
		return nil, err
	}
	n, c := int64(cfg.Batch), int64(net.Channels)
	size := int64(nets.DenoiserSize(net))
	float := func(data []float32, shape ...int64) *ort.Tensor {
		t, e := ort.NewTensor(shape, data)
		err = errors.Join(err, e)
		return t
	}
	tr.x, tr.eps = float(nil, n, c), float(nil, n, c)
	tr.hyper, tr.loss, tr.norm = float(nil, 4), float(nil, 1), float(nil, 1)
	tr.sets[0] = [3]*ort.Tensor{float(w.params, size), float(w.m, size), float(w.v, size)}
	tr.sets[1] = [3]*ort.Tensor{float(nil, size), float(nil, size), float(nil, size)}
	var e error
	tr.t, e = ort.NewTensor[int64]([]int64{n / int64(share)}, nil)
	return tr, errors.Join(err, e)
}

func (tr *trainer) close() error {
	errs := []error{tr.x.Close(), tr.eps.Close(), tr.t.Close(), tr.hyper.Close(), tr.loss.Close(), tr.norm.Close()}
	for _, set := range tr.sets {
		for _, t := range set {
			errs = append(errs, t.Close())
		}
	}
	if tr.session != nil {
		errs = append(errs, tr.session.Close())
	}
	return errors.Join(errs...)
}

// rate returns the learning rate of a step, counted from 1. It rises over 5 % of the steps and then falls as a cosine to a
// hundredth.
func (c Config) rate(step int) float64 {
	warm := max(1, c.Steps/20)
	if step <= warm {
		return c.LR * float64(step) / float64(warm)
	}
	phase := float64(step-warm) / float64(max(1, c.Steps-warm))
	return c.LR * (0.01 + 0.99*(1+math.Cos(math.Pi*min(1, phase)))/2)
}

// fill draws the batch of a step. It depends only on seed and step, so a resumed run continues exactly like an
// uninterrupted one.
func (tr *trainer) fill(s *sample, step int) {
	r := rand.New(rand.NewPCG(tr.cfg.Seed^0x5eed, uint64(step)))
	c := s.channels
	x, eps := ort.Data[float32](tr.x), ort.Data[float32](tr.eps)
	unit := s.unit()
	for i := range tr.cfg.Batch / unit {
		from := s.data[r.IntN(s.tokens()/unit)*unit*c:]
		for j := range unit { // the squares of a batch are interleaved, see nets.TrainingGraph
			copy(x[(j*(tr.cfg.Batch/unit)+i)*c:][:c], from[j*c:])
		}
	}
	for i := range eps {
		eps[i] = float32(r.NormFloat64())
	}
	for i := range ort.Data[int64](tr.t) {
		t := r.IntN(models.Timesteps)
		if r.Float64() < tr.cfg.Focus {
			t = tr.lo + r.IntN(tr.hi-tr.lo+1)
		}
		ort.Data[int64](tr.t)[i] = int64(t)
	}
	adam := nets.AdamW{LearningRate: tr.cfg.rate(step), WeightDecay: tr.cfg.WeightDecay, Clip: gradientClip}
	hyper := adam.Hyper(step)
	copy(ort.Data[float32](tr.hyper), hyper[:])
}

// step runs one optimiser step and returns its loss.
func (tr *trainer) step(s *sample, step int) (float64, error) {
	tr.fill(s, step)
	from, to := tr.sets[0], tr.sets[1]
	named := map[string]*ort.Tensor{
		"params": from[0], "m": from[1], "v": from[2], "x0": tr.x, "eps": tr.eps, "t": tr.t, "hyper": tr.hyper,
		"params_out": to[0], "m_out": to[1], "v_out": to[2], "loss": tr.loss, "grad_norm": tr.norm,
	}
	if err := tr.session.RunNamed(named); err != nil {
		return 0, err
	}
	loss := float64(ort.Data[float32](tr.loss)[0])
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("fit: the loss is not finite at step %d: choose a lower --lr", step)
	}
	tr.sets[0], tr.sets[1] = to, from
	return loss, nil
}

// copyTo copies the current parameters and moments to w.
func (tr *trainer) copyTo(w *weights) {
	for i, dst := range []*[]float32{&w.params, &w.m, &w.v} {
		*dst = append((*dst)[:0], ort.Data[float32](tr.sets[0][i])...)
	}
}

// train runs the remaining steps. A cancelled context ends the training early, without an error.
func (tr *trainer) train(ctx context.Context, s *sample, w *weights, report func(Progress), save func() error) error {
	begun, saved, reported, first := time.Now(), time.Now(), time.Time{}, w.Step
	for w.Step < tr.cfg.Steps && ctx.Err() == nil {
		loss, err := tr.step(s, w.Step+1)
		if err != nil {
			return err
		}
		w.Step++
		if w.Loss == 0 {
			w.Loss = loss
		}
		w.Loss += max(0.02, 1/float64(w.Step)) * (loss - w.Loss)
		if time.Since(reported) > time.Second/5 || w.Step == tr.cfg.Steps {
			reported = time.Now()
			elapsed := time.Since(begun)
			each := elapsed / time.Duration(w.Step-first)
			report(Progress{
				Phase: Train, Tokens: s.tokens(), Step: w.Step, Steps: tr.cfg.Steps, Loss: w.Loss,
				RowsPerSecond: float64(tr.cfg.Batch) / each.Seconds(), Elapsed: elapsed,
				Left: each * time.Duration(tr.cfg.Steps-w.Step),
			})
		}
		if time.Since(saved) > tr.cfg.Checkpoint {
			tr.copyTo(w)
			if err := save(); err != nil {
				return err
			}
			saved = time.Now()
		}
	}
	tr.copyTo(w)
	return save()
}
