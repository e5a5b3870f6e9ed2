package ort_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// ways are the detectors that are compared: |T|=5, |T|=5 combined over 5 frames, |T|=25.
type ways struct {
	plain, combined, full *detector.Detector
	pools                 [3]*eval.Pool
	distance              [2]float64 // of the maps of the first two from the third's
}

func newWays(t *testing.T, bundle string, cfg detector.Config) *ways {
	t.Helper()
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	detect := func(n, frames int) *detector.Detector {
		cfg.Timesteps, cfg.Accumulate = detector.Timesteps(n), frames
		d, err := engine.NewDetector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return &ways{
		plain: detect(5, 0), combined: detect(5, 5), full: detect(25, 0),
		pools: [3]*eval.Pool{eval.NewPool(0), eval.NewPool(0), eval.NewPool(0)},
	}
}

// judge scores a frame in all three ways and pools the maps.
func (w *ways) judge(t *testing.T, f *ingest.Frame, labels []uint8) {
	t.Helper()
	var maps [3]*detector.Map
	for i, d := range []*detector.Detector{w.plain, w.combined, w.full} {
		var err error
		if maps[i], err = d.Score(t.Context(), f.Retain()); err != nil {
			t.Fatal(err)
		}
		if err := w.pools[i].Add(maps[i].ResizeTo(nil, f.Width, f.Height), labels, 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.distance {
		for j, v := range maps[i].Values {
			w.distance[i] += math.Abs(float64(v - maps[2].Values[j]))
		}
	}
}

// ap logs and returns the average precision of the three ways.
func (w *ways) ap(t *testing.T) (ap [3]float64) {
	t.Helper()
	for i, name := range []string{"|T|=5", "|T|=5 over 5 frames", "|T|=25"} {
		m, err := w.pools[i].Metrics()
		if err != nil {
			t.Fatal(err)
		}
		ap[i] = m.AP
		t.Logf("%-20s AP %.4f, AUROC %.4f", name, m.AP, m.AUROC)
	}
	t.Logf("distance from |T|=25: |T|=5 %.0f, over 5 frames %.0f", w.distance[0], w.distance[1])
	return ap
}

// sensor returns the frame with the noise of a camera, deviation 3 of 255.
func sensor(f *ingest.Frame, random *rand.Rand) *ingest.Frame {
	out := ingesttest.Mishap{}.Happen(f)
	for i, v := range out.Pix {
		out.Pix[i] = byte(min(255, max(0, float64(v)+3*random.NormFloat64()+0.5)))
	}
	return out
}

// Labelled pictures as still streams with sensor noise: |T|=5 over 5 frames must come closer to |T|=25 than |T|=5 does.
// OODCAST_DATASET and OODCAST_IMAGES measure on more.
func TestAccumulationOnStills(t *testing.T) {
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		t.Skip("SKIPPED: OODCAST_DATA is not set, accumulation was not measured on labelled pictures")
	}
	name, images := "roadobstacle21", 2
	if v := os.Getenv("OODCAST_DATASET"); v != "" {
		name = v
	}
	if v := os.Getenv("OODCAST_IMAGES"); v != "" {
		images, _ = strconv.Atoi(v)
	}
	d, err := dataset.Open(name, filepath.Join(data, name))
	if err != nil {
		t.Fatal(err)
	}
	w, random := newWays(t, models.Embedded, detector.DefaultConfig()), rand.New(rand.NewPCG(1, 1))
	for _, item := range d.Items[:min(images, len(d.Items))] {
		labels, _, _, err := item.Labels()
		if err != nil {
			t.Fatal(err)
		}
		f, err := opencv.ReadStored(item.Image)
		if err != nil {
			t.Fatal(err)
		}
		w.combined.Forget()
		for range 4 {
			if _, err := w.combined.Score(t.Context(), sensor(f, random)); err != nil {
				t.Fatal(err)
			}
		}
		w.judge(t, sensor(f, random), relabel(labels, d.OOD))
	}
	w.ap(t)
	if w.distance[1] > 0.7*w.distance[0] {
		t.Errorf("maps of |T|=5 over 5 frames are %.0f from those of |T|=25, of |T|=5 alone %.0f", w.distance[1], w.distance[0])
	}
}

// relabel makes 1 the label of an anomaly.
func relabel(labels []uint8, ood uint8) []uint8 {
	out := slices.Clone(labels)
	for i, v := range out {
		if v == ood {
			out[i] = 1
		}
	}
	return out
}

// Real photographs that move through real footage: combining frames must not smear them. OODCAST_BUNDLE and OODCAST_IMAGES
// measure with another bundle, on more frames and at full size.
func TestAccumulationOnMovingObjects(t *testing.T) {
	cfg, bundle, frames := detector.DefaultConfig(), models.Embedded, 16
	cfg.Width, cfg.Height = 384, 288
	if v := os.Getenv("OODCAST_IMAGES"); v != "" {
		frames, _ = strconv.Atoi(v)
		cfg.Width, cfg.Height = 0, 0
	}
	if v := os.Getenv("OODCAST_BUNDLE"); v != "" {
		bundle = v
	}
	const first, warm = 400, 5
	paster, err := ingesttest.NewPaster(768, 576, ingesttest.Places(1, 2+frames/40, 0, frames+warm), nil)
	if err != nil {
		t.Fatal(err)
	}
	w, enough := newWays(t, bundle, cfg), errors.New("enough")
	in := ingest.DefaultConfig()
	in.URI = demoClip(t)
	src, err := source.New(in, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		i := int(f.Seq) - first
		switch {
		case i < 0:
			return nil
		case i >= frames+warm:
			return enough
		}
		seen := ingesttest.Mishap{}.Happen(f)
		mask := paster.Paste(seen.Pix, i)
		if i >= warm {
			w.judge(t, seen, mask)
		} else if _, err := w.combined.Score(t.Context(), seen); err != nil {
			return err
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if ap := w.ap(t); ap[1] < ap[0]-0.03 {
		t.Errorf("combining frames costs %.3f AP on objects that move", ap[0]-ap[1])
	}
}
