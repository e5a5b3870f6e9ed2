package archive

import (
	"context"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// stuck is a disk that hangs until let is closed.
type stuck struct {
	storage
	let chan struct{}
}

func (s stuck) put(string, []byte) error {
	<-s.let
	return nil
}

// However long a disk hangs, Observe and Frame return, the queues are bounded, and the rest is dropped and counted.
func TestAStuckDiskHoldsUpNobody(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Dir, cfg.MaxAge = t.TempDir(), 0
	a, err := New(cfg, "home")
	if err != nil {
		t.Fatal(err)
	}
	a.maxPending = 1 << 20
	let := make(chan struct{})
	a.dir = stuck{a.dir, let}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	pool := ingest.NewPool(8)
	now := time.Now()
	m := &detector.Map{Camera: "front", Captured: now, Width: 4, Height: 4, Values: make([]float32, 16)}
	for i := range 100 {
		f, err := pool.Get(t.Context(), 320, 240)
		if err != nil {
			t.Fatal(err)
		}
		f.Camera, f.Captured = "front", now.Add(time.Duration(i)*time.Second)
		e := events.Event{
			ID: fmt.Sprintf("front-%d-%08x", now.UnixMilli(), i), Camera: "front", Type: events.Start, Revision: 1, Start: now,
		}
		a.Observe(f, m, []events.Event{e}, nil)
		a.Frame(f)
		if n := a.pending.Load(); n > a.maxPending {
			t.Fatalf("%d bytes wait, want at most %d", n, a.maxPending)
		}
	}
	if len(a.jobs) > maxJobs || a.pending.Load() < a.maxPending/2 {
		t.Errorf("%d jobs with %d bytes wait", len(a.jobs), a.pending.Load())
	}
	close(let)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if pool.InFlight() != 0 {
		t.Errorf("%d frames are held", pool.InFlight())
	}
}

// encodeAll encodes stills, in groups.
func encodeAll(t *testing.T, stills []*still) {
	t.Helper()
	c := &recorder{}
	var enc filmEncoder
	defer enc.close()
	for i := 0; i < len(stills); {
		n, err := enc.encode(group(stills[i:]), func() bool { return false }, c.put)
		if err != nil {
			t.Fatal(err)
		}
		i += n
	}
}

// A film keeps the time of every frame, and every frame decodes without complaint.
func TestFilmKeepsTime(t *testing.T) {
	var stills []*still
	begin := time.Now()
	want := []int{0, 200, 400, 1000, 1100, 33000, 33200} // milliseconds: a gap, a burst, more than a cluster can span
	for i, ms := range want {
		f := ingest.NewFrame(322, 242)
		for k := range f.Pix {
			f.Pix[k] = byte(k/7 + 40*i)
		}
		f.Captured = begin.Add(time.Duration(ms) * time.Millisecond)
		s, err := newStill(f, 200)
		if err != nil {
			t.Fatal(err)
		}
		stills = append(stills, s)
	}
	other := ingest.NewFrame(64, 64)
	other.Captured = begin.Add(40 * time.Second)
	s, err := newStill(other, 200)
	if err != nil {
		t.Fatal(err)
	}
	stills = append(stills, s) // from a camera that has changed its size: it is left out
	encodeAll(t, stills)
	data, err := film(stills, begin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "film.webm")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-of", "csv=p=0",
		"-show_entries", "packet=pts_time", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	for i, line := range strings.Fields(string(out)) {
		if i >= len(want) || line != fmt.Sprintf("%.6f", float64(want[i])/1000) {
			t.Fatalf("frame %d at %s, want %v", i, line, want)
		}
	}
	if n := len(strings.Fields(string(out))); n != len(want) {
		t.Errorf("%d frames, want %d", n, len(want))
	}
	// Seeking needs the index: the picture at 33 s must not be the first.
	out, err = exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-xerror", "-ss", "33", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v: %s", err, out)
	}
}

func TestThumbStaysInside(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 320, 240))
	for _, b := range []events.Box{{}, {X: 0, Y: 0, Width: 1, Height: 1}, {X: 0.95, Y: 0.95, Width: 0.05, Height: 0.05}, {X: 0.2, Y: 0.1, Width: 0.7, Height: 0.01}} {
		if got := thumb(img, b).Rect.Size(); got != image.Pt(thumbWidth, thumbHeight) {
			t.Errorf("thumb of %+v is %v", b, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("home/front/2026-11-23/front-1795440000000-0a1b2c3d/clip.webm")
	f.Add("home/front/2026-11-23/front-1795440000000-0a1b2c3d")
	f.Add("../front/1970-01-01/front-0-00000000/event.json")
	f.Fuzz(func(t *testing.T, name string) {
		id, file, _, ok := parseName(name)
		if !ok {
			return
		}
		if strings.Contains(name, "..") || strings.Contains(name, "\\") || !filepath.IsLocal(name) {
			t.Errorf("%q leads outside the archive", name)
		}
		site, _, _ := strings.Cut(name, "/")
		in, err := folder(site, id)
		if want := strings.TrimSuffix(name, "/"+file); err != nil || file != "" && in != want || file == "" && in != name {
			t.Errorf("folder(%q, %q) = %q, %v, want the folder of %q", site, id, in, err, name)
		}
	})
}
