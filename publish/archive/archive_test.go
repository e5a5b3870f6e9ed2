package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/archive"
	"github.com/oodcast/oodcast/publish/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// yard is a camera of 320 × 240 pixels at ten frames per second, with hand-made maps and a real tracker.
type yard struct {
	t       *testing.T
	a       *archive.Archive
	reg     *prometheus.Registry
	pool    *ingest.Pool
	tracker *events.Tracker
	begin   time.Time
	seq     uint64
	told    []events.Event
	stop    func() // ends the archive
}

func newYard(t *testing.T, cfg archive.Config, opts ...archive.Option) *yard {
	t.Helper()
	y := &yard{
		t: t, reg: prometheus.NewRegistry(), pool: ingest.NewPool(1), begin: time.Now().UTC(),
		tracker: events.NewTracker(events.DefaultConfig()),
	}
	a, err := archive.New(cfg, "home", append(opts, archive.WithRegistry(y.reg))...)
	if err != nil {
		t.Fatal(err)
	}
	y.a = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	y.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := y.pool.InFlight(); n != 0 {
			t.Errorf("%d frames are still held", n)
		}
	})
	t.Cleanup(y.stop)
	return y
}

// show hands over the next frame and its map, with a region of the given value; 0 is none. It waits until the archive has
// released the frame before.
func (y *yard) show(value float32) {
	y.t.Helper()
	ctx, cancel := context.WithTimeout(y.t.Context(), patience)
	defer cancel()
	f, err := y.pool.Get(ctx, 320, 240)
	if err != nil {
		y.t.Fatal("the archive does not release the frame")
	}
	f.Camera, f.Seq, f.Captured = "front", y.seq, y.begin.Add(time.Duration(y.seq)*100*time.Millisecond)
	for i := range f.Pix {
		f.Pix[i] = byte(i/3%320/2) + byte(y.seq)
	}
	m := &detector.Map{
		Camera: "front", Seq: y.seq, Captured: f.Captured, Width: 40, Height: 30, ImageWidth: 320, ImageHeight: 240,
		Values: make([]float32, 1200), Threshold: 4, Peak: value, Bundle: "b", Timesteps: []int{0, 8},
	}
	for r := 10; r < 15; r++ {
		for c := 8; c < 16; c++ {
			m.Values[r*40+c] = value
		}
	}
	y.seq++
	told := y.tracker.Update(m)
	y.told = append(y.told, y.a.Observe(f, m, told, y.tracker.Open())...)
	y.a.Frame(f)
}

// event shows an event of a second and a half with its peak in the middle, and then nothing for a while.
func (y *yard) event() (start, end events.Event) {
	y.t.Helper()
	first := len(y.told)
	for _, v := range []float32{0, 0, 0, 0, 6, 6, 6, 6, 6, 6, 6, 9, 9, 6, 6, 6, 6, 6, 6} {
		y.show(v)
	}
	for range 60 { // until the hold and the cool-down are over
		y.show(0)
	}
	for _, e := range y.told[first:] {
		switch e.Type {
		case events.Start:
			start = e
		case events.End:
			end = e
		case events.Update:
		}
	}
	if start.ID == "" || end.ID != start.ID {
		y.t.Fatalf("events %+v, want a start and an end", y.told[first:])
	}
	return start, end
}

func (y *yard) metric(name, label string) float64 {
	y.t.Helper()
	families, err := y.reg.Gather()
	if err != nil {
		y.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func config(t *testing.T) archive.Config {
	t.Helper()
	cfg := archive.DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "archive")
	cfg.Clip.Before, cfg.Clip.After = 300*time.Millisecond, 500*time.Millisecond
	return cfg
}

func TestEvidence(t *testing.T) {
	cfg := config(t)
	y := newYard(t, cfg)
	start, end := y.event()
	in := filepath.Join("home", "front", start.Time.Format("2006-01-02"), start.ID)
	if want := filepath.Join(in, "overlay.jpg"); start.Snapshot != want || start.Clip != "" {
		t.Errorf("start refers to %q and %q, want %q and no clip", start.Snapshot, start.Clip, want)
	}
	if want := filepath.Join(in, "peak_overlay.jpg"); end.Snapshot != want || end.Clip != filepath.Join(in, "clip.webm") {
		t.Errorf("end refers to %q and %q, want %q and a clip", end.Snapshot, end.Clip, want)
	}
	full := filepath.Join(cfg.Dir, in)
	var doc struct {
		Format string
		Event  schema.Event
		Maps   []archive.MapScale
	}
	eventually(t, "the end in event.json, and the film", func() bool {
		raw, err := os.ReadFile(filepath.Join(full, "event.json"))
		return err == nil && json.Unmarshal(raw, &doc) == nil && doc.Event.Type == "end" &&
			exists(filepath.Join(full, "clip.webm"))
	})
	if doc.Event.ID != start.ID || doc.Event.Peak != 9 || doc.Event.Reason != "gone" || len(doc.Maps) != 2 {
		t.Errorf("event.json: %+v", doc)
	}
	entries, err := os.ReadDir(full)
	if err != nil || len(entries) != len(archive.Files()) {
		t.Errorf("files %v, %v, want %v", entries, err, archive.Files())
	}
	for name, size := range map[string]image.Point{
		"frame.jpg": {320, 240}, "overlay.jpg": {320, 240}, "peak_frame.jpg": {320, 240}, "peak_overlay.jpg": {320, 240},
		"thumb.jpg": {192, 108},
	} {
		img, err := jpeg.Decode(bytes.NewReader(read(t, full, name)))
		if err != nil || img.Bounds().Size() != size {
			t.Errorf("%s: %v, %v, want %v", name, img, err, size)
			continue
		}
		if strings.Contains(name, "thumb") {
			continue
		}
		in, out := warmth(img, 96, 100), warmth(img, 250, 150) // the frames are grey
		if warm := in > 60; warm != strings.Contains(name, "overlay") || out < -10 || out > 10 {
			t.Errorf("%s: the region is %d redder than blue, the rest %d: the overlay is on the wrong picture", name, in, out)
		}
	}
	checkMap(t, read(t, full, "peak_map.png"), doc.Maps[1])
	snapshot, err := y.a.File(t.Context(), start.ID, "snapshot.jpg")
	if err != nil || !bytes.Equal(snapshot, read(t, full, "peak_overlay.jpg")) {
		t.Errorf("File(snapshot.jpg) = %d bytes, %v", len(snapshot), err)
	}
	// 300 ms before, 1.5 s, 500 ms after, at five frames per second.
	if n := probe(t, filepath.Join(full, "clip.webm")); n < 9 || n > 14 {
		t.Errorf("the film has %d frames, want about 12", n)
	}
}

// warmth returns the red of a pixel minus its blue.
func warmth(img image.Image, x, y int) int {
	r, _, b, _ := img.At(x, y).RGBA()
	return int(r>>8) - int(b>>8)
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// checkMap turns the grey of a map back into scores.
func checkMap(t *testing.T, raw []byte, s archive.MapScale) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	grey, ok := img.(*image.Gray16)
	if !ok || grey.Rect.Size() != image.Pt(40, 30) {
		t.Fatalf("map is %T of %v, want 16-bit grey of 40×30", img, img.Bounds())
	}
	value := func(x, y int) float32 { return s.Min + float32(grey.Gray16At(x, y).Y)*(s.Max-s.Min)/65535 }
	if value(10, 12) != 9 || value(0, 0) != 0 {
		t.Errorf("values %v and %v, want 9 and 0", value(10, 12), value(0, 0))
	}
}

// probe lets ffprobe read a film to its end and returns the number of its frames.
func probe(t *testing.T, path string) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-of", "json", "-show_entries",
		"format=duration,format_name:stream=codec_name,width,height,nb_read_frames", path).CombinedOutput()
	var got struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			Width  int
			Height int
			Frames string `json:"nb_read_frames"`
		}
		Format struct {
			Name     string `json:"format_name"`
			Duration string
		}
	}
	if err != nil || json.Unmarshal(out, &got) != nil || len(got.Streams) != 1 {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	s := got.Streams[0]
	var n int
	var seconds float64
	_, err = fmt.Sscan(s.Frames+" "+got.Format.Duration, &n, &seconds)
	if err != nil || s.Codec != "vp8" || s.Width != 320 || s.Height != 240 || seconds < 0.15*float64(n) || seconds > 0.3*float64(n) {
		t.Errorf("ffprobe: %v, %s", err, out)
	}
	return n
}

func TestOffKeepsNothing(t *testing.T) {
	y := newYard(t, archive.DefaultConfig())
	start, end := y.event()
	if start.Snapshot != "" || end.Clip != "" {
		t.Errorf("an archive that is off refers to %q, %q", start.Snapshot, end.Clip)
	}
	if n := y.metric("oodcast_archive_files_total", "dir"); n != 0 {
		t.Errorf("%v files", n)
	}
}

// A film ends when the camera falls silent. A long one ends at its limit while the event goes on; the end of that event is
// kept too.
func TestFilmsEnd(t *testing.T) {
	cfg := config(t)
	cfg.Clip.Max = 2 * time.Second
	y := newYard(t, cfg)
	for range 40 {
		y.show(6)
	}
	id := y.told[0].ID
	eventually(t, "the film of an event that goes on", func() bool {
		_, err := y.a.File(t.Context(), id, "clip.webm")
		return err == nil
	})
	long := y.a.Observe(nil, nil, y.tracker.End(time.Now(), events.EndNoSignal), nil)
	if len(long) != 1 || !strings.HasSuffix(long[0].Clip, "clip.webm") || long[0].Snapshot == "" {
		t.Errorf("the end of the long event is %+v, want its film and its picture", long)
	}
	eventually(t, "the end of the long event", func() bool {
		raw, err := y.a.File(t.Context(), id, "event.json")
		return err == nil && strings.Contains(string(raw), `"no_signal"`)
	})

	for range 10 {
		y.show(6)
	}
	ends := y.a.Observe(nil, nil, y.tracker.End(time.Now(), events.EndNoSignal), nil)
	if len(ends) != 1 {
		t.Fatalf("ends %+v, want one", ends)
	}
	eventually(t, "the film of a camera that is silent", func() bool {
		_, err := y.a.File(t.Context(), ends[0].ID, "clip.webm")
		return err == nil
	})
}

// Films and retention can be changed while events are open and evidence is kept.
func TestConfigure(t *testing.T) {
	cfg := config(t)
	y := newYard(t, cfg)
	for range 12 {
		y.show(6)
	}
	id := y.told[0].ID
	without := cfg
	without.Clip.FPS = 0
	if err := y.a.Configure(without); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the film so far", func() bool { // of the open event
		_, err := y.a.File(t.Context(), id, "clip.webm")
		return err == nil
	})
	for range 60 {
		y.show(0)
	}
	start, end := y.event()
	if end.Clip != "" || end.Snapshot == "" {
		t.Errorf("without films an event ends with %q and %q", end.Clip, end.Snapshot)
	}
	if err := y.a.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	_, end = y.event()
	eventually(t, "a film again", func() bool { return exists(filepath.Join(cfg.Dir, filepath.FromSlash(end.Clip))) })

	old := time.Now().Add(-time.Hour).UTC()
	in := filepath.Join(cfg.Dir, "home", "front", old.Format("2006-01-02"), fmt.Sprintf("front-%d-00000001", old.UnixMilli()))
	write(t, filepath.Join(in, "event.json"), []byte(`{"format": "oodcast.event.v1"}`))
	cfg.MaxAge = time.Minute
	if err := y.a.Configure(cfg); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the removal of evidence that is now too old", func() bool { return !exists(in) })
	if _, err := y.a.File(t.Context(), start.ID, "event.json"); err != nil {
		t.Errorf("young evidence: %v", err)
	}
	cfg.MaxMB = -1
	if err := y.a.Configure(cfg); err == nil || !strings.Contains(err.Error(), "archive.max_mb") {
		t.Errorf("Configure() = %v, want it to name archive.max_mb", err)
	}
}

func TestConfigValidate(t *testing.T) {
	cfg := archive.DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.MaxAge, cfg.MaxMB, cfg.Clip.FPS, cfg.Clip.Width = time.Second, -1, 99, 0
	err := cfg.Validate()
	for _, key := range []string{"archive.max_age", "archive.max_mb", "archive.clip.fps", "archive.clip.width"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("Validate() = %v, want it to name %s", err, key)
		}
	}
	cfg = archive.DefaultConfig()
	cfg.ObjectStore = true
	if _, err := archive.New(cfg, "home"); err == nil {
		t.Error("New() takes an object store without a connection")
	}
}
