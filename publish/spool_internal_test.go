package publish

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/schema"
)

func open(t *testing.T, dir string, limit int64) *spool {
	t.Helper()
	s, err := openSpool(dir, limit, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func add(t *testing.T, s *spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := s.add(schema.Event{ID: strconv.Itoa(i), Camera: "front"}); err != nil {
			t.Fatal(err)
		}
	}
}

// take wants the events from..to next.
func take(t *testing.T, s *spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		e, n, err := s.next()
		if err != nil || n == 0 || e.ID != strconv.Itoa(i) {
			t.Fatalf("next() = %q, %d, %v, want %d", e.ID, n, err, i)
		}
		if err := s.done(n); err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t *testing.T, s *spool) {
	t.Helper()
	if e, n, err := s.next(); n != 0 || err != nil {
		t.Fatalf("next() = %q, %d, %v, want nothing", e.ID, n, err)
	}
}

// TestSpoolSurvives opens the files of a spool whose process died at any moment: nothing was closed.
func TestSpoolSurvives(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	empty(t, s)
	add(t, s, 0, 10)
	take(t, s, 0, 4)
	s.lock.Close() // what the kernel does for the dead
	file := filepath.Join(dir, "spool", "events.jsonl")
	half, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := half.WriteString(`{"id":"half`); err != nil {
		t.Fatal(err)
	}
	half.Close()

	s = open(t, dir, 1<<20)
	add(t, s, 10, 12)
	take(t, s, 4, 12)
	empty(t, s)
	if st, err := os.Stat(file); err != nil || st.Size() != 0 {
		t.Errorf("a spool that is done has %v bytes, %v", st.Size(), err)
	}
	s.close()
	s.close()
	if err := s.add(schema.Event{ID: "x", Camera: "front"}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("add() after close = %v", err)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	s := open(t, t.TempDir(), 1000)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = s.add(schema.Event{ID: strconv.Itoa(n), Camera: "front"})
	}
	if !errors.Is(err, errSpoolFull) || n < 2 {
		t.Fatalf("%d events, then %v", n, err)
	}
	take(t, s, 0, n-1)
	add(t, s, 0, 1) // room again
}

// TestSpoolFull counts what a full spool does not take, and logs it once.
func TestSpoolFull(t *testing.T) {
	reg := prometheus.NewRegistry()
	m, err := NewMetrics(reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := New(DefaultConfig(), nil, WithMetrics(m), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		p.Event(detector.Event{ID: strconv.Itoa(i), Camera: "front", Type: detector.EventStart})
	}
	s := open(t, t.TempDir(), 5000)
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := p.keepEvents(stopped, s); err != nil { // what was handed over is kept all the same
		t.Fatal(err)
	}
	kept, lost := value(t, m.spooled), value(t, m.published.WithLabelValues("event", resultSpool))
	if kept < 1 || lost < 1 || kept+lost != 100 || value(t, m.spool) != float64(s.pending()) || s.pending() > 5000 {
		t.Errorf("%v kept, %v lost, %d bytes", kept, lost, s.pending())
	}
	if got := strings.Count(log.String(), "the spool of events is full"); got != 1 {
		t.Errorf("%d lines about it, want 1:\n%s", got, log.String())
	}
	take(t, s, 0, int(kept))
	empty(t, s)
}

// value is what a counter or a gauge stands at.
func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

// TestSpoolHead has a process that died after it emptied the spool and before it noted that. What is added then must not
// seem to be done.
func TestSpoolHead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, 0, 3)
	s.close()
	if err := os.WriteFile(filepath.Join(dir, "spool", "events.jsonl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := binary.LittleEndian.AppendUint64(nil, 300)
	if err := os.WriteFile(filepath.Join(dir, "spool", "events.sent"), done, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 1<<20)
	add(t, s, 0, 10)
	s.lock.Close() // it dies again before anything is sent
	s = open(t, dir, 1<<20)
	take(t, s, 0, 10)
}

func TestSpoolTaken(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir, 1<<20), open(t, dir, 1<<20)
	add(t, a, 0, 2)
	empty(t, b)
	add(t, b, 5, 7)
	take(t, a, 0, 2)
	take(t, b, 5, 7)
}

func FuzzSpool(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\",\"camera\":\"front\"}\n{\"id\":\"b\"}\n\n{\"id\""), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("\x00\xff\n"), []byte{255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, lines, sent []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "spool"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"events.jsonl": lines, "events.sent": sent} {
			if err := os.WriteFile(filepath.Join(dir, "spool", name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, 1<<20)
		add(t, s, 1000, 1001)
		for range len(lines) + 2 {
			e, n, err := s.next()
			if err != nil || n <= 0 {
				t.Fatalf("next() = %d, %v before the event that was added", n, err)
			}
			if err := s.done(n); err != nil {
				t.Fatal(err)
			}
			if e.ID == "1000" {
				empty(t, s)
				return
			}
		}
		t.Fatal("the event that was added does not come")
	})
}
