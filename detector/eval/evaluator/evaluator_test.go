package evaluator_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// Every method that the bundle and the normal footage allow makes a row for each |T|, and the same seed gives the same
// figures.
func TestDatasetWithAllMethods(t *testing.T) {
	dir := t.TempDir()
	root, normal := filepath.Join(dir, "set"), filepath.Join(dir, "normal")
	pictures(t, root, 3, true)
	pictures(t, normal, 4, false)
	set, err := dataset.Open("folder", root)
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func() (results []eval.Result) {
		e := open(t, 7)
		if err := e.ReadReference(t.Context(), footage(t, filepath.Join(normal, "images"))); err != nil {
			t.Fatal(err)
		}
		rows, err := e.Rows([]string{method.All}, []int{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		table, err := e.Dataset(t.Context(), set, opencv.ReadStored, rows, eval.Options{FPR: eval.FPRNearest, Components: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range table {
			if l := m.LatencyMS; l == nil || !(l.P50 > 0) {
				t.Errorf("%s: latency %+v", m.Method, l)
			}
			m.LatencyMS = nil // no two runs agree on it
			results = append(results, m.Result)
		}
		return results
	}
	first := evaluate()
	var names []string
	for _, r := range first {
		names = append(names, r.Method+strings.Repeat("'", r.Timesteps))
		if r.Images != 3 || r.Pixels != 3*pictureWidth*pictureHeight || !(r.AUROC > 0 && r.AUROC <= 1) {
			t.Errorf("%s: %+v", r.Method, r)
		}
		if r.Bundle != "roadscene-s" || r.Denoiser != "mlp" || r.Encoder == "" {
			t.Errorf("%s: bundle %q, denoiser %q, encoder %q", r.Method, r.Bundle, r.Denoiser, r.Encoder)
		}
	}
	const want = "dood' dood'' dood-diffusion' dood-diffusion'' eps-mse' eps-mse'' recon-mse' recon-mse'' contrast lse msp maxlogit " +
		"entropy cdnp knn gmm gmmseg mahalanobis residual vim neco student-teacher"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("rows %s\nwant %s", got, want)
	}
	if diff := cmp.Diff(first, evaluate()); diff != "" {
		t.Errorf("two runs with one seed differ:\n%s", diff)
	}
}

func TestEvaluatorNeedsFootage(t *testing.T) {
	e := open(t, 1)
	if _, err := e.Rows([]string{"knn"}, nil); !errors.Is(err, method.ErrNeedsReference) {
		t.Errorf("knn without normal footage: %v, want ErrNeedsReference", err)
	}
	if err := e.ReadReference(t.Context()); !errors.Is(err, method.ErrReference) {
		t.Errorf("no footage: %v, want ErrReference", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.ReadReference(ctx, footage(t, "../testdata/folder/images")); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v, want context.Canceled", err)
	}
}

// The default bundle watches a real photograph in real footage, in simulated time.
func TestStream(t *testing.T) {
	dir := t.TempDir()
	const frames = 10
	clip, masks := filepath.Join(dir, "clip.avi"), filepath.Join(dir, "truth")
	s := ingesttest.Stream{
		Source: demoClip(t), First: 400, Frames: frames, Foreground: ingesttest.VTestForeground(),
		Places: []ingesttest.Placement{{
			Object: "orange", From: 2, To: frames, Path: []ingesttest.Waypoint{{X: 0.2, Y: 0.8, Height: 0.2}, {X: 0.7, Y: 0.8, Height: 0.2}},
		}},
	}
	if _, err := s.Write(t.Context(), clip, masks, 1); err != nil {
		t.Fatal(err)
	}
	times := filepath.Join(dir, "times")
	if err := os.WriteFile(times, []byte("0.2 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := open(t, 1)
	rows, err := e.Rows([]string{"dood"}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func(path string, latency time.Duration) stream.Result {
		t.Helper()
		truth, err := stream.OpenTruth(path)
		if err != nil {
			t.Fatal(err)
		}
		opts := stream.DefaultOptions()
		opts.FPS, opts.Latency = 10, latency
		results, err := e.Stream(t.Context(), footage(t, clip), truth, rows, opts)
		if err != nil || len(results) != 1 {
			t.Fatalf("%d rows, %v", len(results), err)
		}
		return results[0]
	}
	now := evaluate(masks, 0)
	if now.Bundle != "roadscene-s" || now.Frames != frames || now.Labelled != frames || now.Seconds != 1 || now.Events.Objects != 1 {
		t.Errorf("%+v, events %+v", now, now.Events)
	}
	if now.Offline != now.Streaming.Rates || now.Offline.AUROC < 0.6 || now.Temporal.Static == 0 || now.Temporal.Moved == 0 {
		t.Errorf("%+v, want the offline rates, better than chance", now)
	}
	if diff := cmp.Diff(now, evaluate(masks, 0)); diff != "" {
		t.Errorf("two runs differ:\n%s", diff)
	}
	if late := evaluate(masks, 350*time.Millisecond); late.Offline != now.Offline ||
		late.Streaming.AP >= 0.8*now.Streaming.AP || late.Streaming.Scored > 0.5 {
		t.Errorf("0.35 s late: offline AP %v, streaming AP %v of %v", late.Offline.AP, late.Streaming.AP, now.Streaming.AP)
	}
	if byTime := evaluate(times, -1); byTime.Level != stream.FrameLevel || byTime.LatencyMS == nil || byTime.Events.Objects != 1 {
		t.Errorf("%+v", byTime)
	}
}
