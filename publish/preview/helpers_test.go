package preview_test

import (
	"context"
	"fmt"
	"image"
	_ "image/jpeg"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := runChild(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// camera is the smallest schema.Camera: settings with a range, guarded by a lock.
type camera struct {
	name string
	mu   sync.Mutex
	st   schema.Status
}

func newCamera(name string) *camera {
	return &camera{name: name, st: schema.Status{
		Site: "default", Camera: name, State: schema.StateLive, Since: time.Now(), Timesteps: schema.Timesteps{N: 5},
		TimestepsUsed: 5, TimestepsMax: 25, Threshold: 4, Bundle: "roadscene", Provider: "cpu",
	}}
}

func (c *camera) Name() string { return c.name }

func (c *camera) Status() schema.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.st.Time = time.Now()
	return c.st
}

func (c *camera) Apply(u schema.Update) (schema.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := u.Timesteps; t != nil {
		if !t.Auto && (t.N < 1 || t.N > 25) {
			return c.st, fmt.Errorf("timesteps: got %d, want 1..25", t.N)
		}
		c.st.Timesteps = *t
		if !t.Auto {
			c.st.TimestepsUsed = t.N
		}
	}
	if u.Threshold != nil {
		c.st.Threshold = *u.Threshold
	}
	if u.Paused != nil {
		c.st.Paused = *u.Paused
	}
	return c.st, nil
}

func (c *camera) set(edit func(*schema.Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(&c.st)
}

func testConfig() preview.Config {
	c := preview.DefaultConfig()
	c.Listen = "127.0.0.1:0"
	return c
}

// start runs a server until the test ends.
func start(t *testing.T, cfg preview.Config, cams []schema.Camera, opts ...preview.Option) *preview.Server {
	t.Helper()
	opts = append([]preview.Option{preview.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	s, err := preview.New(cfg, cams, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Error("Run does not end")
		}
	})
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("Run() = %v", err)
	case <-time.After(60 * time.Second):
		t.Fatal("not ready")
	}
	return s
}

// footage is real video: people who cross a street, decoded by ffmpeg in a loop.
type footage struct {
	w, h int
	pipe io.ReadCloser
	cmd  *exec.Cmd
}

func openFootage(t *testing.T) *footage {
	t.Helper()
	const file = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	f := &footage{w: 768, h: 576}
	f.cmd = exec.Command(
		"ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-",
	)
	var err error
	if f.pipe, err = f.cmd.StdoutPipe(); err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		t.Fatalf("ffmpeg: %v: run `make deps`", err)
	}
	t.Cleanup(func() {
		_ = f.cmd.Process.Kill()
		_ = f.cmd.Wait()
	})
	return f
}

func (f *footage) next(dst []byte) error {
	_, err := io.ReadFull(f.pipe, dst)
	return err
}

// feed plays footage into a server at fps until the test ends: frames from a pool, and for every second frame a map of its
// difference from the average picture, so that people who move are anomalies.
func feed(t *testing.T, s *preview.Server, cam *camera, fps int) {
	t.Helper()
	video, pool := openFootage(t), ingest.NewPool(6)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		d := &differ{w: 96, h: 72}
		tracker := events.NewTracker(events.DefaultConfig())
		tick := time.NewTicker(time.Second / time.Duration(fps))
		defer tick.Stop()
		for seq := uint64(0); ; seq++ {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			f := pool.TryGet(video.w, video.h)
			if f == nil {
				t.Error("the preview keeps too many frames")
				return
			}
			if err := video.next(f.Pix); err != nil {
				f.Release()
				return
			}
			f.Camera, f.Seq, f.Captured = cam.name, seq, time.Now()
			m := d.compare(f, cam.Status())
			s.Frame(f)
			cam.set(func(st *schema.Status) {
				st.Width, st.Height, st.Stats.Captured, st.Stats.CameraFPS = video.w, video.h, seq, float64(fps)
				st.Stats.Scored, st.Stats.ScoreFPS = d.seq, float64(fps)/2
			})
			if m != nil && seq%2 == 0 && !cam.Status().Paused {
				s.Map(m)
				for _, e := range tracker.Update(m) {
					s.Event(e)
				}
			}
		}
	}()
}

// differ keeps the average picture.
type differ struct {
	w, h int
	mean []float32
	seq  uint64
}

func (d *differ) compare(f *ingest.Frame, st schema.Status) *detector.Map {
	grid := make([]float32, d.w*d.h)
	bw, bh := f.Width/d.w, f.Height/d.h
	for i := range grid {
		x0, y0 := i%d.w*bw, i/d.w*bh
		for y := range bh {
			for x := range bw {
				grid[i] += float32(f.Pix[3*((y0+y)*f.Width+x0+x)+1])
			}
		}
		grid[i] /= float32(bw * bh)
	}
	if d.mean == nil {
		d.mean = append([]float32(nil), grid...)
	}
	steps := st.TimestepsUsed
	m := &detector.Map{
		Camera: f.Camera, Seq: d.seq, FrameSeq: f.Seq, Captured: f.Captured, Width: d.w, Height: d.h,
		ImageWidth: f.Width, ImageHeight: f.Height, Values: make([]float32, d.w*d.h), Timesteps: make([]int, steps),
		Threshold: st.Threshold, Peak: -100, Bundle: st.Bundle, Provider: st.Provider,
		Latency: detector.Latency{
			Wait: 2 * time.Millisecond, Encode: 38 * time.Millisecond, Score: time.Duration(steps) * 3 * time.Millisecond,
		},
	}
	m.Latency.Total = m.Latency.Wait + m.Latency.Encode + m.Latency.Score
	d.seq++
	for i, v := range grid {
		m.Values[i] = float32(math.Abs(float64(v-d.mean[i])))/8 - 0.5
		m.Peak = max(m.Peak, m.Values[i])
		m.Mean += m.Values[i] / float32(len(grid))
		d.mean[i] += (v - d.mean[i]) / 50
	}
	return m
}

// picture returns the brightness of an image and the deviation of its pixels.
func picture(img image.Image) (mean, deviation float64) {
	b := img.Bounds()
	var n, s, s2 float64
	for y := b.Min.Y; y < b.Max.Y; y += 4 {
		for x := b.Min.X; x < b.Max.X; x += 4 {
			r, g, bl, _ := img.At(x, y).RGBA()
			v := float64(r+g+bl) / 3 / 257
			n, s, s2 = n+1, s+v, s2+v*v
		}
	}
	return s / n, math.Sqrt(max(0, s2/n-s*s/n/n))
}
