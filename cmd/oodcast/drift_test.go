package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// A fixed camera over a pavement, calibrated on its first seconds. People that walk through are no drift; a camera that is
// moved or turned, and darkness, are.
func TestDriftOnRealFootage(t *testing.T) {
	const stride, calibrated = 20, 100
	dir := t.TempDir()
	clip := filepath.Join(dir, "normal.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, calibrated, nil)
	bundle := filepath.Join(dir, "bundle")
	must(t, "fit", "--bundle", models.Default, "--source", clip, "--out", bundle, "--calibrate-only", "--max-frames", "20")
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.Width, cfg.Height, cfg.DriftWindow = 1, 384, 288, 24*time.Second
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()

	frames := thinned(t, demoClip(t), stride)
	now := time.Unix(5000, 0)
	watch := func(from, thin int, what ingesttest.Mishap) (said []detector.Drift) {
		for i := from; i < len(frames); i += thin {
			now = now.Add(time.Duration(thin*stride) * 100 * time.Millisecond) // the clip has 10 frames a second
			seen := what.Happen(frames[i])
			seen.Captured = now
			m, err := engine.Detector.Score(t.Context(), seen)
			if err != nil {
				t.Fatal(err)
			}
			said = append(said, m.Drift)
		}
		return said
	}
	for i, d := range watch(0, 1, ingesttest.Mishap{}) {
		if d.State != detector.DriftOK {
			t.Errorf("undisturbed, %d s: %+v", i*stride/10, d)
		}
	}
	for _, tt := range []struct {
		name string
		what ingesttest.Mishap
		want detector.DriftState
	}{
		{"moved", ingesttest.Mishap{X: 0.25, Y: 0.1}, detector.DriftDrifting},
		{"turned", ingesttest.Mishap{Angle: 20}, detector.DriftDrifting},
		{"dark", ingesttest.Mishap{Gain: 0.2}, detector.DriftDrifting},
		{"set right", ingesttest.Mishap{}, detector.DriftOK},
	} {
		said := watch(10, 2, tt.what)
		d := said[len(said)-1]
		t.Logf("%s: %+v", tt.name, d)
		if d.State != tt.want || (d.Hint != "") != (tt.want == detector.DriftDrifting) {
			t.Errorf("%s: %+v, want %s", tt.name, d, tt.want)
		}
	}
}

// thinned returns every stride-th frame of a clip.
func thinned(t *testing.T, path string, stride uint64) (frames []*ingest.Frame) {
	t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	source, err := opencv.New(cfg, ingest.NewPool(2))
	if err != nil {
		t.Fatal(err)
	}
	err = source.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if f.Seq%stride == 0 {
			frames = append(frames, ingesttest.Mishap{}.Happen(f)) // a copy: f goes back to its pool
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return frames
}
