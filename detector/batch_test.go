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

// batchEncoder is a meanEncoder for several frames. It can fail on one of them and records which frames it encodes together.
type batchEncoder struct {
	meanEncoder
	torn uint64 // sequence number of a frame that cannot be encoded; 0: none
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

// recordingScorer records which pictures and timesteps are scored together.
type recordingScorer struct {
	subsetScorer
	pictures []int
	steps    [][]int
}

func (s *recordingScorer) ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error {
	s.pictures, s.steps = append(s.pictures, len(features)), append(s.steps, timesteps)
	return s.subsetScorer.ScoreAllTo(dst, features, tokens, timesteps)
}

func TestScoreAll(t *testing.T) {
	cal, load := testCalibration(t), &EngineLoad{}
	enc, scorer := &batchEncoder{}, &recordingScorer{subsetScorer: subsetScorer{gaussScorer: gaussScorer{diffusion.NewSchedule()}}}
	configs := []func(*Config){
		func(c *Config) { c.Timesteps = 4 },
		func(c *Config) { c.Timesteps = 2 },
		func(c *Config) { c.Timesteps = 4 },
		func(c *Config) { c.Timesteps = 4; c.ROI = testROI() },
		func(c *Config) { c.Timesteps = 4; c.ROI = testROI() },
		func(c *Config) { c.Part = PartLSE },
		func(c *Config) { c.Timesteps = 4; c.Width, c.Height = 64, 32 },
		func(c *Config) { // the region contains no cell of the map
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
			d.ShareEngine(load)
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
		t.Errorf("frames encoded together: %v, want all but the one of another size", enc.runs)
	}
	if want := []int{1, 2, 2, 1}; !slices.Equal(scorer.pictures, want) {
		t.Errorf("numbers of pictures scored together: %v, want %v", scorer.pictures, want)
	}
	if !slices.Equal(scorer.steps[0], together[1].control.order[:2]) {
		t.Errorf("timesteps %v are scored first, want the fewest", scorer.steps[0])
	}
	var engine time.Duration
	for i, d := range alone {
		f := noiseFrame(uint64(100+i), cells{80, 16, 112, 48})
		want, err := d.Score(t.Context(), f)
		if m := maps[i]; (err == nil) != (m != nil) || !errors.Is(errs[i], sentinelOf(err)) {
			t.Errorf("job %d: error %v, want %v as for the frame alone", i, errs[i], err)
			continue
		} else if m == nil {
			continue
		} else if !slices.Equal(m.Values, want.Values) || m.FrameSeq != f.Seq || !slices.Equal(m.Timesteps, want.Timesteps) {
			t.Errorf("job %d: the map differs from that of the frame alone", i)
		}
		l := maps[i].Latency
		if l.Wait < 0 || l.Total != l.Wait+l.Encode+l.Score {
			t.Errorf("job %d: latencies %+v do not add up", i, l)
		}
		engine += time.Duration(load.mu.usage[together[i]].seconds * float64(time.Second))
	}
	if engine <= 0 || engine > took {
		t.Errorf("the detectors account for %v of engine time, want more than 0 and at most %v", engine, took)
	}

	// A frame that cannot be encoded does not affect the map of another one.
	again, err := pool.Get(t.Context(), 128, 64)
	if err != nil {
		t.Fatal(err)
	}
	again.Seq = 7
	ScoreAll(t.Context(), []Job{jobs[len(configs)], {together[0], again}}, func(i int, m *Map, err error) { maps[i], errs[i] = m, err })
	if !errors.Is(errs[0], errTorn) || errs[1] != nil || maps[1] == nil || maps[1].FrameSeq != 7 {
		t.Errorf("torn frame: error %v, frame in the same batch: error %v", errs[0], errs[1])
	}
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d frames were not released", n)
	}
}

// sentinelOf returns the sentinel that err wraps, or err itself, for comparing the errors of two detectors.
func sentinelOf(err error) error {
	if errors.Is(err, ErrSetting) {
		return ErrSetting
	}
	return err
}

// A camera with an automatic |T| may use as much engine time in a batch as alone: only its share of the batch counts against
// its rate.
func TestBatchCountsOnlyTheShareOfEngineTime(t *testing.T) {
	d := testDetector(t, func(c *Config, _ *models.Manifest, _ *Calibration) {
		c.Timesteps, c.LatencyBudget = 0, time.Second
	})
	d.SetInterval(100 * time.Millisecond)
	alone := d.limits(d.control.Get(), time.Now()).interval
	for range budgetCostFrames {
		m := &Map{Scored: 2, Latency: Latency{Encode: 60 * time.Millisecond, Score: 60 * time.Millisecond}}
		d.recordCost(m, time.Now(), lookCost{}, 30*time.Millisecond)
	}
	if got := d.limits(d.control.Get(), time.Now()).interval; alone != 100*time.Millisecond || got != 4*alone {
		t.Errorf("interval of a frame in a batch of four = %v, alone %v, want 400ms and 100ms", got, alone)
	}
}
