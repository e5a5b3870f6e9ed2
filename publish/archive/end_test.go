package archive

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// opened feeds an archive with many open events of one camera, which share the frames of their films, and returns their
// ids.
func opened(t *testing.T, a *Archive, count, frames int) (ids []string) {
	t.Helper()
	begin := time.Now().UTC().Truncate(time.Millisecond)
	pool := ingest.NewPool(1)
	t.Cleanup(func() {
		if n := pool.InFlight(); n != 0 {
			t.Errorf("%d frames are still held", n)
		}
	})
	for i := range frames {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		f, err := pool.Get(ctx, 160, 120) // released when it is compressed
		cancel()
		if err != nil {
			t.Fatal("the archive does not release the frame")
		}
		f.Camera, f.Seq, f.Captured = "front", uint64(i), begin.Add(time.Duration(i)*200*time.Millisecond)
		for k := range f.Pix {
			f.Pix[k] = byte(k/3%160 + i)
		}
		if i == 0 {
			m := &detector.Map{Camera: "front", Captured: begin, Width: 4, Height: 4, Values: make([]float32, 16)}
			for n := range count {
				e := events.Event{
					ID: fmt.Sprintf("front-%d-%08x", begin.UnixMilli(), n), Camera: "front", Type: events.Start, Revision: 1,
					Start: begin,
				}
				a.Observe(f, m, []events.Event{e}, nil)
				ids = append(ids, e.ID)
			}
		}
		a.Frame(f)
	}
	return ids
}

// over ends events, as the end of a stream does.
func over(a *Archive, ids []string) {
	for _, id := range ids {
		_, at, _ := parseID(id)
		a.Observe(nil, nil, []events.Event{{
			ID: id, Camera: "front", Type: events.End, Revision: 2, Start: at, Duration: time.Hour,
		}}, nil)
	}
}

// running runs the archive until stop is called.
func running(t *testing.T, a *Archive) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func filming(t *testing.T) *Archive {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dir, cfg.Clip.Max = t.TempDir(), 10*time.Minute
	a, err := New(cfg, "home", WithLogger(slog.New(slog.DiscardHandler)), WithRegistry(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// filmed returns the number of frames that ffprobe decodes of each film. It fails on broken and half-written files.
func filmed(t *testing.T, a *Archive, ids []string) (frames []int) {
	t.Helper()
	for _, id := range ids {
		in, err := folder("home", id)
		if err != nil {
			t.Fatal(err)
		}
		full := filepath.Join(a.cfg.Load().Dir, in)
		entries, err := os.ReadDir(full)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				t.Errorf("%s is half-written", e.Name())
			}
		}
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0",
			"-show_entries", "stream=nb_read_frames", filepath.Join(full, FileClip)).CombinedOutput()
		n, bad := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil || bad != nil {
			t.Fatalf("film of %s: %v: %s", id, err, out)
		}
		frames = append(frames, n)
	}
	return frames
}

// dropped returns a counter.
func dropped(t *testing.T, a *Archive, what string) float64 {
	t.Helper()
	families, err := a.reg.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "oodcast_archive_dropped_total" && m.GetLabel()[0].GetValue() == what {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// At the end the films of all open events are made, however many there are, and whole if there is time.
func TestFilmsAtTheEnd(t *testing.T) {
	a := filming(t)
	a.drain, a.filmTime = 2*time.Minute, 2*time.Minute
	stop := running(t, a)
	ids := opened(t, a, maxFilms+2, 20)
	over(a, ids)
	stop()
	for i, n := range filmed(t, a, ids) {
		if n != 20 {
			t.Errorf("film %d has %d frames, want all 20", i, n)
		}
	}
	if len(a.mu.records) > 0 || a.filmsPending.Load() != 0 {
		t.Errorf("%d records and %d films are left", len(a.mu.records), a.filmsPending.Load())
	}
}

// Without enough time every film becomes shorter, still plays, and is counted.
func TestFilmsAtTheEndInAHurry(t *testing.T) {
	a := filming(t)
	stop := running(t, a)
	ids := opened(t, a, maxFilms+2, 40)
	over(a, ids)
	end := time.Now().Add(-time.Hour) // the time for films is over before the first: each still has a picture
	a.drain = 2 * time.Minute
	a.filmsDue.Store(&end)
	a.Forget("front") // ends the films as the end of Run does, without a new end of their time
	for deadline := time.Now().Add(time.Minute); a.filmsPending.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d films are not made", a.filmsPending.Load())
		}
	}
	stop()
	for i, n := range filmed(t, a, ids) {
		if n < 1 || n >= 40 {
			t.Errorf("film %d has %d frames, want some", i, n)
		}
	}
	if n := dropped(t, a, "film_end"); int(n) != len(ids) {
		t.Errorf("the metrics report %v shortened films, want %d", n, len(ids))
	}
	if n := dropped(t, a, "film"); n != 0 {
		t.Errorf("%v films are lost", n)
	}
}

// The frames of a removed camera are freed, its films are finished, and another camera may take its name.
func TestForget(t *testing.T) {
	a := filming(t)
	stop := running(t, a)
	ids := opened(t, a, 2, 10)
	over(a, ids)
	before := a.recorder("front", false)
	a.Forget("front")
	a.Forget("front")
	a.Forget("never there")
	if before == nil || a.recorder("front", false) != nil {
		t.Errorf("recorder %v, then %v", before, a.recorder("front", false))
	}
	for deadline := time.Now().Add(time.Minute); a.hasOpen() || len(a.allRecorders()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d recorders are left", len(a.allRecorders()))
		}
	}
	for _, n := range filmed(t, a, ids) {
		if n < 5 {
			t.Errorf("a film of %d frames", n)
		}
	}
	opened(t, a, 0, 3)
	if a.recorder("front", false) == nil {
		t.Error("the next camera of that name is not recorded")
	}
	stop()
}

// While events are open their films are encoded, once for all of them. When the process ends there is nothing left to do but the
// newest pictures: with no time at all, ten films of 100 pictures lack less than two groups.
func TestFilmsAreEncodedAhead(t *testing.T) {
	a := filming(t)
	a.filmTime = 0
	stop := running(t, a)
	ids := opened(t, a, 10, 100)
	c := a.recorder("front", false)
	for deadline := time.Now().Add(time.Minute); len(c.pending()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the stills are not encoded")
		}
	}
	over(a, ids)
	stop()
	for i, n := range filmed(t, a, ids) {
		if n <= 100-2*gop {
			t.Errorf("film %d has %d frames of 100", i, n)
		}
	}
	if c.mu.bytes != size(c.mu.stills) {
		t.Errorf("the recorder counts %d bytes, and holds %d", c.mu.bytes, size(c.mu.stills))
	}
}

// The film of an event that starts while another one is open shares its pictures: it begins with the key picture before its own
// beginning, and decodes. One that starts afterwards begins in time.
func TestFilmsShareAnEncoder(t *testing.T) {
	var stills []*still
	begin := time.Now().Truncate(time.Millisecond)
	for i := range 40 {
		f := ingest.NewFrame(64, 48)
		f.Captured = begin.Add(time.Duration(i) * 200 * time.Millisecond)
		s, err := newStill(f, 64)
		if err != nil {
			t.Fatal(err)
		}
		stills = append(stills, s)
	}
	cfg := DefaultConfig()
	c := &recorder{}
	c.cfg = &atomic.Pointer[Config]{}
	c.cfg.Store(&cfg)
	c.start(&record{}, begin.Add(7*time.Second)) // its film begins at 2 s, with still 10
	for _, s := range stills {
		c.add(s)
	}
	var enc filmEncoder
	defer enc.close()
	for g := c.pending(); len(g) > 0; g = c.pending() {
		if _, err := enc.encode(g, func() bool { return false }, c.put); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ from, first, last int }{
		{10, 10, 39}, // the first event
		{20, 10, 39}, // in the middle of its group
		{25, 25, 39}, // at a key picture
		{32, 25, 39},
	} {
		got := c.between(stills[tt.from].at, begin.Add(time.Hour))
		data, err := film(got, stills[tt.from].at)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "film.webm")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0",
			"-show_entries", "stream=nb_read_frames", path).CombinedOutput()
		if want := strconv.Itoa(tt.last - tt.first + 1); err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("a film from still %d has %s frames (%v), want %s", tt.from, out, err, want)
		}
	}
}
