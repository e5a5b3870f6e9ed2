package publish

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

func open(t *testing.T, dir string, limit int64) *spool {
	t.Helper()
	s := newSpool(limit)
	if err := s.open(dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func add(t *testing.T, s *spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := s.add(schema.Event{ID: strconv.Itoa(i), Camera: "front"}); err != nil {
			t.Fatal(err)
		}
	}
}

// take checks that the next events are from..to, and marks them as done.
func take(t *testing.T, s *spool, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		e, n, err := s.next()
		if err != nil || n == 0 || e.ID != strconv.Itoa(i) {
			t.Fatalf("next() = %q, %d, %v, want %d", e.ID, n, err, i)
		}
		if err := s.done(e, n); err != nil {
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

// TestSpoolSurvives opens the files of a spool whose process died without closing them.
func TestSpoolSurvives(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	empty(t, s)
	add(t, s, 0, 10)
	take(t, s, 0, 4)
	s.lock.Close() // as the kernel does when a process dies
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
		t.Errorf("the spool has %v bytes after the last event, %v, want 0", st.Size(), err)
	}
	s.close()
	s.close()
	if _, err := s.add(schema.Event{ID: "x", Camera: "front"}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("add() after close = %v", err)
	}
}

// TestSpoolRemovesTemporaryFiles has a process that died while it replaced the file of open events.
func TestSpoolRemovesTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, 1<<20).close()
	temporary := filepath.Join(dir, "spool", ".events.open123")
	if err := os.WriteFile(temporary, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 1<<20)
	if _, err := os.Stat(temporary); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file after open: %v, want it removed", err)
	}
	add(t, s, 0, 1)
	take(t, s, 0, 1)
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*"))
	hidden, _ := filepath.Glob(filepath.Join(dir, "spool", ".*"))
	if err != nil || len(files) != 4 || len(hidden) != 0 {
		t.Errorf("files %v and %v, %v, want events.jsonl, events.sent, events.open and lock", files, hidden, err)
	}
}

func TestSpoolIsBounded(t *testing.T) {
	s := open(t, t.TempDir(), 1000)
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = s.add(schema.Event{ID: strconv.Itoa(n), Camera: "front"})
	}
	if !errors.Is(err, errSpoolFull) || n < 2 {
		t.Fatalf("%d events, then %v, want errSpoolFull", n, err)
	}
	take(t, s, 0, n-1)
	add(t, s, 0, 1) // there is room again
}

// TestSpoolFull checks that events that do not fit are counted and logged once.
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
	p.spool = open(t, t.TempDir(), 5000)
	close(p.spoolReady)
	ctx, stop := context.WithCancel(t.Context())
	syncing := make(chan error)
	go func() { syncing <- p.syncEvents(ctx) }()
	for i := range 100 {
		p.Event(events.Event{ID: strconv.Itoa(i), Camera: "front", Type: events.Start})
	}
	stop()
	if err := <-syncing; err != nil {
		t.Fatal(err)
	}
	s := p.spool
	kept, lost := value(t, m.spooled), value(t, m.published.WithLabelValues("event", resultSpool))
	if kept < 1 || lost < 1 || kept+lost != 100 || value(t, m.spool) != float64(s.pending()) || s.pending() > 5000 {
		t.Errorf("%v kept, %v lost, %d bytes", kept, lost, s.pending())
	}
	if err := p.Check(); err == nil || !strings.Contains(err.Error(), "the event spool is full") {
		t.Errorf("Check() = %v, want that events are lost", err)
	}
	if got := strings.Count(log.String(), "the event spool is full"); got != 1 {
		t.Errorf("%d log lines about the full spool, want 1:\n%s", got, log.String())
	}
	take(t, s, 0, int(kept))
	empty(t, s)
}

// value returns the value of a counter or a gauge.
func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}

// TestSpoolHead has processes that died when some events were done: events that are added later must not count as done, even
// at the same offset in the file.
func TestSpoolHead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	add(t, s, 0, 5)
	take(t, s, 0, 3)
	s.lock.Close() // the process dies
	s = open(t, dir, 1<<20)
	take(t, s, 3, 5)
	add(t, s, 10, 20)
	s.lock.Close() // the next process dies before it sends an event
	s = open(t, dir, 1<<20)
	take(t, s, 10, 20)
	empty(t, s)
}

// TestSpoolSync checks that one sync serves all waiting callers.
func TestSpoolSync(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	first, err := s.add(schema.Event{ID: "1", Camera: "front"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.add(schema.Event{ID: "2", Camera: "front"})
	if err != nil || first != second {
		t.Fatalf("two events before a sync have different channels, %v", err)
	}
	select {
	case <-first:
		t.Fatal("synced without a call of sync")
	case <-s.unsynced:
	}
	if err := s.sync(); err != nil {
		t.Fatal(err)
	}
	<-first
	if third, err := s.add(schema.Event{ID: "3", Camera: "front"}); err != nil || third == first {
		t.Errorf("an event after the sync shares its channel, %v", err)
	}
	s.close()
	if err := s.sync(); err != nil {
		t.Errorf("sync() after close = %v", err)
	}
}

// BenchmarkEvent measures how long an event holds up its camera: a write and a sync.
func BenchmarkEvent(b *testing.B) {
	b.ReportAllocs()
	p, err := New(DefaultConfig(), nil)
	if err != nil {
		b.Fatal(err)
	}
	p.spool.limit = 1 << 40
	if err := p.spool.open(b.TempDir(), p.log); err != nil {
		b.Fatal(err)
	}
	defer p.spool.close()
	close(p.spoolReady)
	ctx, stop := context.WithCancel(b.Context())
	synced := make(chan error)
	go func() { synced <- p.syncEvents(ctx) }()
	for b.Loop() {
		p.Event(events.Event{ID: "0123456789abcdef", Camera: "front", Type: events.Update})
	}
	stop()
	if err := <-synced; err != nil {
		b.Fatal(err)
	}
}

// Two spools can be open for one folder; the second one uses temporary files.
func TestSpoolInUse(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir, 1<<20), open(t, dir, 1<<20)
	add(t, a, 0, 2)
	empty(t, b)
	add(t, b, 5, 7)
	take(t, a, 0, 2)
	take(t, b, 5, 7)
}

// TestSpoolInterrupted has processes that die in different phases of an event, with some of its messages sent: the next process
// knows the events that have not ended.
func TestSpoolInterrupted(t *testing.T) {
	dir := t.TempDir()
	store := func(s *spool, id string, revision int, kind events.Type) {
		t.Helper()
		if _, err := s.add(schema.Event{ID: id, Revision: revision, Type: string(kind), Camera: "front"}); err != nil {
			t.Fatal(err)
		}
	}
	send := func(s *spool) {
		t.Helper()
		for {
			e, n, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return
			}
			if err := s.done(e, n); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := func(s *spool, ids ...string) {
		t.Helper()
		var got []string
		for _, e := range s.mu.open.interrupted() {
			if e.Type != string(events.End) || e.Reason != string(events.EndInterrupted) {
				t.Errorf("%s is %s because of %q", e.ID, e.Type, e.Reason)
			}
			got = append(got, messageID(e))
		}
		if !slices.Equal(got, ids) {
			t.Errorf("interrupted: %v, want %v", got, ids)
		}
	}
	s := open(t, dir, 1<<20)
	want(s)
	store(s, "a", 1, events.Start)
	send(s)
	store(s, "a", 2, events.Update)
	store(s, "b", 1, events.Start)
	s.lock.Close() // the process dies: a.1 is sent, the others are not

	s = open(t, dir, 1<<20)
	want(s, "a.3", "b.2")
	store(s, "b", 2, events.End)
	send(s)
	store(s, "c", 1, events.Start)
	send(s)
	s.lock.Close() // everything is sent

	s = open(t, dir, 1<<20)
	want(s, "a.3", "c.2")
	if ends, err := s.endInterrupted(); len(ends) != 2 || err != nil {
		t.Fatalf("endInterrupted() = %d, %v", len(ends), err)
	}
	s.lock.Close() // the ends are not sent

	s = open(t, dir, 1<<20)
	want(s)
	send(s)
	s.lock.Close()
	want(open(t, dir, 1<<20))
}

// TestSpoolInterruptedWhileAdding adds events while others are sent and the file is emptied. Two of three events end, and the
// next process knows the third.
func TestSpoolInterruptedWhileAdding(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	const count = 90
	added := make(chan error, 1)
	go func() {
		var err error
		for i := range count {
			e := schema.Event{ID: strconv.Itoa(i), Revision: 1, Type: string(events.Start), Camera: "front"}
			_, first := s.add(e)
			if e.Revision, e.Type = 2, string(events.End); i%3 > 0 {
				_, second := s.add(e)
				first = errors.Join(first, second)
			}
			err = errors.Join(err, first)
		}
		added <- err
	}()
	for sent := 0; sent < count/3*5; {
		e, n, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			<-s.added
			continue
		}
		if err := s.done(e, n); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	empty(t, s)
	s.lock.Close() // the process dies
	ends := open(t, dir, 1<<20).mu.open.interrupted()
	if len(ends) != count/3 {
		t.Errorf("%d events are open, want %d", len(ends), count/3)
	}
	for _, e := range ends {
		if i, err := strconv.Atoi(e.ID); err != nil || i%3 != 0 || e.Revision != 2 {
			t.Errorf("%s is open, want only events that have not ended", messageID(e))
		}
	}
}

func FuzzSpool(f *testing.F) {
	f.Add([]byte("{\"id\":\"a\",\"camera\":\"front\"}\n{\"id\":\"b\"}\n\n{\"id\""), []byte("a.0\n"), []byte("{}\n"))
	f.Add([]byte("\x00\xff\n"), []byte{255, 255, 255, 255, 255, 255, 255, 255}, []byte("{\"id\":\"a\",\"camera\":\"front\"}\n"))
	f.Fuzz(func(t *testing.T, lines, sent, openEvents []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "spool"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"events.jsonl": lines, "events.sent": sent, "events.open": openEvents} {
			if err := os.WriteFile(filepath.Join(dir, "spool", name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, 1<<20)
		add(t, s, 1000, 1001)
		for range len(lines) + 2 {
			e, n, err := s.next()
			if err != nil || n <= 0 {
				t.Fatalf("next() = %d, %v before the added event", n, err)
			}
			if err := s.done(e, n); err != nil {
				t.Fatal(err)
			}
			if e.ID == "1000" {
				empty(t, s)
				return
			}
		}
		t.Fatal("the added event does not follow")
	})
}
