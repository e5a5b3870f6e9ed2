package jsonl_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/jsonl"
	"github.com/oodcast/oodcast/publish/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts returns oodcast_jsonl_lines_total by "kind result".
func counts(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			out[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return out
}

func open(t *testing.T, path string, stdout io.Writer) (*jsonl.Writer, *prometheus.Registry) {
	t.Helper()
	w, err := jsonl.New(path, "yard", stdout, jsonl.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	if err := w.Register(reg); err != nil {
		t.Fatal(err)
	}
	return w, reg
}

// run runs w until everything that f hands over is written.
func run(t *testing.T, w *jsonl.Writer, f func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	f()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A second run appends to the file of the first, and every line is a message with its kind.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	for range 2 {
		w, reg := open(t, path, nil)
		run(t, w, func() {
			w.Map(&detector.Map{Camera: "front", Seq: 7, Peak: 3.5, Values: []float32{3.5}, Threshold: 4})
			w.Events(events.Observation{Events: []events.Event{{ID: "front-1", Camera: "front", Type: events.Start, Revision: 1}}})
		})
		if got := counts(t, reg); got["score written"] != 1 || got["event written"] != 1 {
			t.Errorf("counts %v", got)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		var kind struct{ Kind, Site, Camera string }
		var score schema.Score
		var event schema.Event
		if err := errors.Join(json.Unmarshal(lines.Bytes(), &kind), json.Unmarshal(lines.Bytes(), &score),
			json.Unmarshal(lines.Bytes(), &event)); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if want := []string{"score", "event"}[n%2]; kind.Kind != want || kind.Site != "yard" || kind.Camera != "front" {
			t.Errorf("line %d is %+v, want a %s", n, kind, want)
		}
		if n%2 == 0 && (score.Seq != 7 || score.Peak != 3.5) || n%2 == 1 && (event.ID != "front-1" || event.Type != "start") {
			t.Errorf("line %d: %s", n, lines.Text())
		}
	}
	if n != 4 {
		t.Errorf("%d lines, want two from each run", n)
	}
}

func TestNoSuchFolder(t *testing.T) {
	_, err := jsonl.New(filepath.Join(t.TempDir(), "none", "out.jsonl"), "yard", nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "outputs.jsonl: ") {
		t.Errorf("%v, want an error that outputs.jsonl names a missing folder", err)
	}
}

// stalled is a reader that reads nothing before it is released.
type stalled struct {
	bytes.Buffer
	released chan struct{}
}

func (s *stalled) Write(p []byte) (int, error) {
	<-s.released
	return s.Buffer.Write(p)
}

// A stalled reader delays nothing: the oldest lines are dropped and counted, and the newest ones arrive.
func TestStalledReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stalled{released: make(chan struct{})}
		w, reg := open(t, jsonl.Stdout, out)
		const maps = 20_000
		run(t, w, func() {
			begin := time.Now()
			for seq := range uint64(maps) {
				w.Map(&detector.Map{Camera: "front", Seq: seq, Values: []float32{1}})
			}
			if took := time.Since(begin); took > 0 {
				t.Errorf("Map waited %v for the reader", took)
			}
			close(out.released)
		})
		got := counts(t, reg)
		if got["score overflow"] == 0 || got["score overflow"]+got["score written"] != maps {
			t.Errorf("counts %v, want a sum of %d", got, maps)
		}
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.Contains(lines[len(lines)-1], `"seq":19999,`) {
			t.Errorf("the last line is %s, want map 19999", lines[len(lines)-1])
		}
	})
}

// full is a disk that has no room for the first lines.
type full struct {
	bytes.Buffer
	refused int
}

func (f *full) Write(p []byte) (int, error) {
	if f.refused > 0 {
		f.refused--
		return 0, errors.New("no space left on device")
	}
	return f.Buffer.Write(p)
}

// A score that cannot be written or encoded is counted, and the lines after it are written.
func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &full{refused: 1}
		w, reg := open(t, jsonl.Stdout, out)
		run(t, w, func() {
			w.Map(&detector.Map{Camera: "front", Peak: float32(math.NaN())})
			w.Map(&detector.Map{Camera: "front"})
			synctest.Wait() // until the disk has refused the line
			if err := w.Check(); err == nil || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("Check() = %v, want why the line is lost", err)
			}
			w.Map(&detector.Map{Camera: "front"})
		})
		if err := w.Check(); err != nil {
			t.Errorf("Check() = %v after a line that was written", err)
		}
		if got := counts(t, reg); got["score error"] != 2 || got["score written"] != 1 || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("counts %v, written %q", got, out.String())
		}
	})
}
