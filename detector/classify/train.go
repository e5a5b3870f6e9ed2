package classify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// train trains the classifier on the sample. It returns one of the features as they were before the sample was standardised.
func (r *run) train(ctx context.Context) (c nets.Classifier, err error) {
	s := &r.sample
	mean, deviation := s.standardise()
	model, err := nets.ClassifierTraining(batch, s.channels, s.classes, graph.Float32)
	if err != nil {
		return c, err
	}
	session, err := ort.NewSession(model, r.opt.ORT)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	tr, err := newTrainer(session, s)
	defer func() { err = errors.Join(err, tr.close()) }()
	if err != nil {
		return c, err
	}
	begun := time.Now()
	for step := 1; step <= r.opt.Steps; step++ {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		loss, err := tr.step(s, r.opt.Seed, step, r.opt.Steps)
		if err != nil {
			return c, err
		}
		if step == 1 {
			r.result.Loss = loss
		}
		r.result.Steps = step
		r.result.Loss += max(0.02, 1/float64(step)) * (loss - r.result.Loss)
		each := time.Since(begun) / time.Duration(step)
		r.opt.Progress(fit.Progress{
			Phase: fit.Train, Tokens: s.cells(), Step: step, Steps: r.opt.Steps, Loss: r.result.Loss,
			RowsPerSecond: batch / each.Seconds(), Elapsed: time.Since(begun), Left: each * time.Duration(r.opt.Steps-step),
		})
	}
	params := ort.Data[float32](tr.sets[0][0])
	size := s.classes * s.channels
	c = nets.Classifier{Weights: make([]float32, size), Bias: make([]float32, s.classes)}
	for k := range s.classes {
		bias := float64(params[size+k])
		for j := range s.channels {
			w := float64(params[k*s.channels+j]) / deviation[j]
			bias -= w * mean[j]
			c.Weights[k*s.channels+j] = float32(w)
		}
		c.Bias[k] = float32(bias)
	}
	return c, nil
}

// trainer runs optimiser steps: each reads parameters and moments from one set and writes them to the other.
type trainer struct {
	session    *ort.Session
	x, target  *ort.Tensor
	hyper      *ort.Tensor
	loss, norm *ort.Tensor
	sets       [2][3]*ort.Tensor // params, m, v
}

func newTrainer(session *ort.Session, s *sample) (*trainer, error) {
	tr := &trainer{session: session}
	var err error
	float := func(shape ...int64) *ort.Tensor {
		t, e := ort.NewTensor[float32](shape, nil)
		err = errors.Join(err, e)
		return t
	}
	size := int64(s.classes*s.channels + s.classes)
	tr.x, tr.target = float(batch, int64(s.channels)), float(batch, int64(s.classes))
	tr.hyper, tr.loss, tr.norm = float(4), float(1), float(1)
	for i := range tr.sets {
		tr.sets[i] = [3]*ort.Tensor{float(size), float(size), float(size)}
	}
	return tr, err
}

// step runs an optimiser step and returns its loss. The batch depends on seed and step alone.
func (tr *trainer) step(s *sample, seed uint64, step, steps int) (float64, error) {
	rnd := rand.New(rand.NewPCG(seed^0xc1a55, uint64(step)))
	x, target := ort.Data[float32](tr.x), ort.Data[float32](tr.target)
	for i := range batch {
		from := rnd.IntN(s.cells())
		copy(x[i*s.channels:][:s.channels], s.features[from*s.channels:])
		for k, v := range s.shares[from*s.classes:][:s.classes] {
			target[i*s.classes+k] = float32(v) / whole
		}
	}
	// The rate falls as a cosine to nothing: then the parameters do not depend on the last batches.
	hyper := nets.AdamW{LearningRate: rate * (1 + 1e-3 + math.Cos(math.Pi*float64(step)/float64(steps))) / 2, WeightDecay: decay}.Hyper(step)
	copy(ort.Data[float32](tr.hyper), hyper[:])
	from, to := tr.sets[0], tr.sets[1]
	named := map[string]*ort.Tensor{
		"params": from[0], "m": from[1], "v": from[2], "x": tr.x, "target": tr.target, "hyper": tr.hyper,
		"params_out": to[0], "m_out": to[1], "v_out": to[2], "loss": tr.loss, "grad_norm": tr.norm,
	}
	if err := tr.session.RunNamed(named); err != nil {
		return 0, err
	}
	loss := float64(ort.Data[float32](tr.loss)[0])
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("classify: the loss is not finite at step %d", step)
	}
	tr.sets[0], tr.sets[1] = to, from
	return loss, nil
}

func (tr *trainer) close() error {
	errs := []error{tr.x.Close(), tr.target.Close(), tr.hyper.Close(), tr.loss.Close(), tr.norm.Close()}
	for _, set := range tr.sets {
		for _, t := range set {
			errs = append(errs, t.Close())
		}
	}
	return errors.Join(errs...)
}
