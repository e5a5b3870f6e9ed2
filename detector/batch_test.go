package detector

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

var errTorn = errors.New("a torn frame")

// batchEncoder is a meanEncoder for several frames, of which one may be torn.
type batchEncoder struct {
	meanEncoder
	torn uint64 // the number of a frame that cannot be encoded; 0: none
	runs [][]uint64
}

func (e *batchEncoder) Encode(ctx context.Context, f *ingest.Frame, w, h int) (*Encoding, error) {
	if e.torn > 0 && f.Seq == e.torn {
		return nil, errTorn
	}
	return e.meanEncoder.Encode(ctx, f, w, h)
}

func (e *batchEncoder) EncodeAll(ctx context.Context, frames []*ingest.Frame, w, h int) (all []*Encoding, err error) {
	var run []uint64
	for _, f := range frames {
		one, err := e.Encode(ctx, f, w, h)
		if err != nil {
			return nil, err
		}
		enc := *one
		all, run = append(all, &enc), append(run, f.Seq)
	}
	e.runs = append(e.runs, run)
	return all, nil
}

// pickBatches notes what was scored together.
type pickBatches struct {
	pickScorer
	pictures []int
	steps    [][]int
}

func (s *pickBatches) ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error {
	s.pictures, s.steps = append(s.pictures, len(features)), append(s.steps, timesteps)
	return s.pickScorer.ScoreAllTo(dst, features, tokens, timesteps)
}

func TestScoreAll(t *testing.T) {
	cal, share := testCalibration(t), &Share{}
	enc, scorer := &batchEncoder{}, &pickBatches{pickScorer: pickScorer{gaussScorer: gaussScorer{diffusion.NewSchedule()}}}
	configs := []func(*Config){
		func(c *Config) { c.Timesteps = 4 },
		func(c *Config) { c.Timesteps = 2 },
		func(c *Config) { c.Timesteps = 4 },
		func(c *Config) { c.Timesteps = 4; c.ROI = testROI() },
		func(c *Config) { c.Timesteps = 4; c.ROI = testROI() },
		func(c *Config) { c.Part = PartLSE },
		func(c *Config) { c.Timesteps = 4; c.Width, c.Height = 64, 32 },
		func(c *Config) { // no cell of the map lies in it
			c.ROI = ROI{Include: []Polygon{{{0.01, 0.01}, {0.05, 0.01}, {0.05, 0.05}, {0.01, 0.05}}}}
		},
	}
	detectors := func() (all []*Detector) {
		for _, edit := range configs {
			cfg := DefaultConfig()
			edit(&cfg)
			d, err := New(enc, scorer, testManifest(), cal, "cpu", cfg)
			if err != nil {
				t.Fatal(err)
			}
			d.ShareWith(share)
			all = append(all, d)
		}
		return all
	}
	together, alone := detectors(), detectors()
	const torn = 3
	enc.torn = torn
	pool := ingest.NewPool(len(configs) + 1)
	var jobs []Job
	for i, d := range append(together, together[0]) { // the last frame is torn
		f, err := pool.Get(t.Context(), 128, 64)
		if err != nil {
			t.Fatal(err)
		}
		picture := noiseFrame(uint64(100+i), cells{80, 16, 112, 48})
		copy(f.Pix, picture.Pix)
		f.Camera, f.Seq, f.Captured = "yard", uint64(100+i), time.Now()
		if i == len(configs) {
			f.Seq, d = torn, alone[0]
		}
		jobs = append(jobs, Job{d, f})
	}
	maps, errs := make([]*Map, len(jobs)), make([]error, len(jobs))
	begin := time.Now()
	ScoreAll(t.Context(), jobs[:len(configs)], func(i int, m *Map, err error) { maps[i], errs[i] = m, err })
	took := time.Since(begin)

	if len(enc.runs) != 1 || !slices.Equal(enc.runs[0], []uint64{100, 101, 102, 103, 104, 105, 107}) {
		t.Errorf("%v were encoded together, want all but the one of another size", enc.runs)
	}
	if want := []int{1, 2, 2, 1}; !slices.Equal(scorer.pictures, want) {
		t.Errorf("%v pictures were scored together, want %v", scorer.pictures, want)
	}
	if !slices.Equal(scorer.steps[0], together[1].control.order[:2]) {
		t.Errorf("first those at %v, want the fewest timesteps", scorer.steps[0])
	}
	var engine time.Duration
	for i, d := range alone {
		f := noiseFrame(uint64(100+i), cells{80, 16, 112, 48})
		want, err := d.Score(t.Context(), f)
		if m := maps[i]; (err == nil) != (m != nil) || !errors.Is(errs[i], errUnwrap(err)) {
			t.Errorf("job %d: %v, alone %v", i, errs[i], err)
			continue
		} else if m == nil {
			continue
		} else if !slices.Equal(m.Values, want.Values) || m.FrameSeq != f.Seq || !slices.Equal(m.Timesteps, want.Timesteps) {
			t.Errorf("job %d: the map is not that of the frame alone", i)
		}
		l := maps[i].Latency
		if l.Wait < 0 || l.Total != l.Wait+l.Encode+l.Score {
			t.Errorf("job %d: latencies %+v do not add up", i, l)
		}
		engine += time.Duration(share.mu.work[together[i]].seconds * float64(time.Second))
	}
	if engine <= 0 || engine > took {
		t.Errorf("the detectors account for %v of the engine's time, of %v", engine, took)
	}

	// One that cannot be encoded spoils nobody else's map.
	again, err := pool.Get(t.Context(), 128, 64)
	if err != nil {
		t.Fatal(err)
	}
	again.Seq = 7
	ScoreAll(t.Context(), []Job{jobs[len(configs)], {together[0], again}}, func(i int, m *Map, err error) { maps[i], errs[i] = m, err })
	if !errors.Is(errs[0], errTorn) || errs[1] != nil || maps[1] == nil || maps[1].FrameSeq != 7 {
		t.Errorf("beside a torn frame (%v): %v", errs[0], errs[1])
	}
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d frames were not released", n)
	}
}

// errUnwrap is what an error is, for errors.Is: those of two detectors read the same.
func errUnwrap(err error) error {
	if errors.Is(err, ErrSetting) {
		return ErrSetting
	}
	return err
}

// A camera that leaves the choice of |T| to the detector may use as much of the engine's time in a batch as alone: what
// counts against its rate is its part of what was done together.
func TestBatchesCountOncePerRate(t *testing.T) {
	d := testDetector(t, func(c *Config, _ *models.Manifest, _ *Calibration) {
		c.Timesteps, c.LatencyBudget = 0, time.Second
	})
	d.SetInterval(100 * time.Millisecond)
	alone := d.limits(d.control.Get(), time.Now()).interval
	for range budgetFrames {
		m := &Map{Scored: 2, Latency: Latency{Encode: 60 * time.Millisecond, Score: 60 * time.Millisecond}}
		d.account(m, time.Now(), 30*time.Millisecond)
	}
	if got := d.limits(d.control.Get(), time.Now()).interval; alone != 100*time.Millisecond || got != 4*alone {
		t.Errorf("four together may take %v, one %v", got, alone)
	}
}
