package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
	"github.com/oodcast/oodcast/models/zoo"
)

// ErrMemory means that a network does not fit into the memory that is free.
var ErrMemory = errors.New("bench: not enough memory")

// randomSeed is that of the weights.
const randomSeed = 1

// Random measures a network of package zoo with random weights and a random denoiser, without any file. Sides of the working size
// that the network cannot have become the nearest smaller ones. An unknown name is [zoo.ErrUnknown].
func Random(ctx context.Context, name string, cfg Config, opts ort.Options) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n, err := zoo.Random(name, randomSeed)
	if err != nil {
		return nil, err
	}
	unit := n.Spec.SizeMultiple()
	cfg.Width, cfg.Height = max(unit, cfg.Width/unit*unit), max(unit, cfg.Height/unit*unit)
	if need, free := cfg.memory(n), freeMemory(); free > 0 && need > free {
		return nil, fmt.Errorf("%w: %s at %d×%d needs about %d MB, %d MB are free: take a smaller --size or network", ErrMemory, name,
			cfg.Width, cfg.Height, need>>20, free>>20)
	}
	p := ort.Parts{Manifest: cfg.manifest(n), Denoiser: zoo.Weights(n.Denoiser, randomSeed), Calibration: unscaled(cfg.Timesteps)}
	if p.Encoder, err = n.Build(); err != nil {
		return nil, err
	}
	work, err := multiplications(p.Encoder, models.Size{Width: cfg.Width, Height: cfg.Height}, opts)
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // what building and counting have left
	forgetPeak()
	scoring := detector.DefaultConfig() // the working size is that of the manifest, which need not be a multiple of 32
	engine, err := ort.OpenParts(name, p, scoring, opts)
	if err != nil {
		return nil, err
	}
	p.Encoder = nil
	r, err := cfg.run(ctx, name, engine, scoring)
	if err != nil {
		return nil, err
	}
	tokens := int64(cfg.Width/n.Spec.Stride) * int64(cfg.Height/n.Spec.Stride)
	r.Params, r.DenoiserParams, r.Multiplications = n.Params, int64(nets.DenoiserSize(n.Denoiser)), work
	// Its linear layers see every token, but those of the embedding of the timestep.
	r.PerTimestep = tokens * nets.DenoiserWork(n.Denoiser)
	if p.Diffusion.Noise == models.NoiseAntithetic {
		r.PerTimestep *= 2
	}
	return r, nil
}

// manifest describes a network with its denoiser.
func (c Config) manifest(n *zoo.Network) models.Manifest {
	m := models.DefaultManifest()
	m.Name, m.Encoder, m.Denoiser = n.Name, n.Spec, &n.Denoiser
	m.Encoder.Size = models.Size{Width: c.Width, Height: c.Height}
	for i := range n.Classes {
		m.Encoder.Classes = append(m.Encoder.Classes, "class "+strconv.Itoa(i))
	}
	m.Compound.Rule = models.RuleStandardised
	m.Diffusion.Timesteps = unscaled(c.Timesteps).Timesteps
	return m
}

// unscaled is a calibration for the timesteps 0, 1, 2, … that leaves the scores as they are.
func unscaled(counts []int) detector.Calibration {
	unit := detector.Moments{Std: 1, Min: -1, Max: 1}
	cal := detector.Calibration{Format: detector.CalibrationFormat, LSE: unit}
	n := 25
	for _, c := range counts {
		n = max(n, min(c, models.Timesteps))
	}
	for t := range n {
		row := make([]float64, n)
		row[t] = 1
		cal.Timesteps, cal.Mean, cal.Covariance = append(cal.Timesteps, t), append(cal.Mean, 0), append(cal.Covariance, row)
		cal.Min, cal.Max = append(cal.Min, -1), append(cal.Max, 1)
	}
	return cal
}

// memory estimates how much memory a measurement takes at its peak: the weights four times, as tensors or constants, in the model, and
// twice in the runtime, and the scores of attention three times; and two thirds on top, because the run that counts operations keeps
// the inputs of products (setr-l at 1280×720 took 13 GB).
func (c Config) memory(n *zoo.Network) int64 {
	tokens := int64(c.Width/n.Spec.Stride) * int64(c.Height/n.Spec.Stride)
	const base = 300 << 20
	return base + (4*4*n.Params+4*3*int64(c.Batch)*int64(n.Attention)*tokens*tokens)*5/3
}

// freeMemory returns the memory that is available to processes, in bytes; 0 where the kernel does not tell.
func freeMemory() int64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok && len(strings.Fields(rest)) > 0 {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// forgetPeak makes the kernel count the peak of resident memory anew, where it can.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200) }

// multiplications runs an encoder once and counts.
func multiplications(model []byte, size models.Size, opts ort.Options) (count int64, err error) {
	rt, err := ort.Open("")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rt.Close()) }()
	m, err := graph.Parse(model)
	if err != nil {
		return 0, err
	}
	work := m.Work()
	s, err := ort.NewSession(m.Marshal(), opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	image, err := ort.NewTensor([]int64{1, int64(size.Height), int64(size.Width), 3}, models.GoldenImage(size.Width, size.Height))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	working, err := ort.NewTensor([]int64{2}, []int64{int64(size.Height), int64(size.Width)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, working.Close()) }()
	out, err := s.Eval(map[string]*ort.Tensor{"image": image, "size": working})
	if err != nil {
		return 0, err
	}
	shapes := map[string][]int64{}
	for name, t := range out {
		shapes[name] = append([]int64{}, ort.Data[int64](t)...)
		err = errors.Join(err, t.Close())
	}
	if err != nil {
		return 0, err
	}
	return work.Multiplications(shapes)
}
