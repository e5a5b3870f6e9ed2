package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Config is what is measured.
type Config struct {
	// Width and Height are the size of the frames and the working size, in pixels.
	Width, Height int
	// Timesteps lists the |T| to measure.
	Timesteps []int
	// Frames is the number of batches for each |T|, after two that do not count; at least 1.
	Frames int
	// Batch is the number of frames that are scored together, 1 to 32; times are then those of a batch.
	Batch int
	// SecondLook measures with frames of twice the size, and a second look at each of them.
	SecondLook bool
}

// uncounted is how many batches warm up caches and allocations before each measurement.
const uncounted = 2

// Validate reports all faults at once.
func (c Config) Validate() error {
	var errs []error
	if c.Frames < 1 {
		errs = append(errs, fmt.Errorf("bench.frames: got %d, want 1 or more", c.Frames))
	}
	if c.Batch < 1 || c.Batch > 32 {
		errs = append(errs, fmt.Errorf("bench.batch: got %d, want 1 to 32", c.Batch))
	}
	for _, n := range c.Timesteps {
		if n < 1 {
			errs = append(errs, fmt.Errorf("bench.timesteps: got %d, want 1 or more", n))
		}
	}
	return errors.Join(errs...)
}

// Report is what was measured. Times are in milliseconds.
type Report struct {
	Bundle   string `json:"bundle"`
	Provider string `json:"provider"`
	Note     string `json:"-"` // why the provider is not the one that was asked for; empty when it is
	Width    int    `json:"width"`
	Height   int    `json:"height"`
	Cores    int    `json:"cores"`
	Batch    int    `json:"batch"`
	Rows     []Row  `json:"rows"`
	MaxRSS   int64  `json:"max_rss_bytes"`

	// Of a network with random weights alone: its weights, those of its denoiser, the multiplications, each with an addition, of
	// its encoder for a frame, and those of its denoiser for a frame and a timestep.
	Params          int64 `json:"params,omitempty"`
	DenoiserParams  int64 `json:"denoiser_params,omitempty"`
	Multiplications int64 `json:"multiply_adds,omitempty"`
	PerTimestep     int64 `json:"multiply_adds_per_timestep,omitempty"`
}

// Row holds the medians and 95th percentiles for one |T|.
type Row struct {
	Timesteps int     `json:"timesteps"`
	EncodeP50 float64 `json:"encode_p50"`
	EncodeP95 float64 `json:"encode_p95"`
	ScoreP50  float64 `json:"score_p50"`
	ScoreP95  float64 `json:"score_p95"`
	TotalP50  float64 `json:"total_p50"`
	TotalP95  float64 `json:"total_p95"`
	FPS       float64 `json:"fps"`
	Ratio     float64 `json:"score_to_encode"`
}

// Run measures a bundle. A number of timesteps that the bundle does not offer is detector.ErrSetting.
func Run(ctx context.Context, b *models.Bundle, cfg Config, opts ort.Options) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	scoring := detector.DefaultConfig()
	scoring.Width, scoring.Height, scoring.SecondLook = cfg.Width, cfg.Height, detector.LookOff
	if cfg.SecondLook {
		scoring.SecondLook = detector.LookOn
	}
	engine, err := ort.OpenEngine(b, scoring, opts)
	if err != nil {
		return nil, err
	}
	return cfg.run(ctx, b.Name, engine, scoring)
}

// run measures an engine and closes it.
func (c Config) run(ctx context.Context, name string, engine *ort.Engine, scoring detector.Config) (r *Report, err error) {
	defer func() { err = errors.Join(err, engine.Close()) }()
	r = &Report{
		Bundle: name, Provider: string(engine.Provider()), Note: engine.Note(), Width: c.Width, Height: c.Height,
		Cores: runtime.NumCPU(), Batch: c.Batch,
	}
	for _, n := range c.Timesteps {
		row, err := c.measure(ctx, engine, scoring, n)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, row)
	}
	r.MaxRSS = peakMemory()
	return r, nil
}

// measure times batches that are scored with n timesteps.
func (c Config) measure(ctx context.Context, engine *ort.Engine, scoring detector.Config, n int) (Row, error) {
	detectors := make([]*detector.Detector, c.Batch)
	for i := range detectors {
		d, err := engine.NewDetector(scoring)
		if err != nil {
			return Row{}, err
		}
		if err := d.Control().Set(detector.Knob{Timesteps: n}); err != nil {
			return Row{}, err
		}
		detectors[i] = d
	}
	var encode, score, total []float64
	for i := range uncounted + c.Frames {
		latency, err := c.batch(ctx, detectors)
		if err != nil {
			return Row{}, err
		}
		if i < uncounted {
			continue
		}
		ms := func(t time.Duration) float64 { return t.Seconds() * 1000 }
		encode = append(encode, ms(latency.Encode))
		score = append(score, ms(latency.Score))
		total = append(total, ms(latency.Encode+latency.Score))
	}
	row := Row{Timesteps: n}
	row.EncodeP50, row.EncodeP95 = percentiles(encode)
	row.ScoreP50, row.ScoreP95 = percentiles(score)
	row.TotalP50, row.TotalP95 = percentiles(total)
	row.FPS, row.Ratio = 1000*float64(c.Batch)/row.TotalP50, row.ScoreP50/row.EncodeP50
	return row, nil
}

// batch scores one frame with each detector, all together, and returns the latency of the last map, which has waited for
// all others.
func (c Config) batch(ctx context.Context, detectors []*detector.Detector) (detector.Latency, error) {
	var jobs []detector.Job
	for _, d := range detectors {
		f := ingest.NewFrame(c.Width, c.Height)
		if c.SecondLook {
			f = ingest.NewFrame(2*c.Width, 2*c.Height)
		}
		copy(f.Pix, models.GoldenImage(f.Width, f.Height))
		f.Captured = time.Now()
		jobs = append(jobs, detector.Job{Detector: d, Frame: f})
	}
	var last *detector.Map
	var fault error
	detector.ScoreAll(ctx, jobs, func(_ int, m *detector.Map, err error) { last, fault = m, errors.Join(fault, err) })
	if fault != nil {
		return detector.Latency{}, fault
	}
	return last.Latency, nil
}

func percentiles(ms []float64) (p50, p95 float64) {
	slices.Sort(ms)
	return ms[len(ms)/2], ms[min(len(ms)-1, len(ms)*95/100)]
}
