package source_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// vtest is footage from Debian's package opencv-doc: 768x576, 10 frames per second, 795 frames.
const vtest = "/usr/share/doc/opencv-doc/examples/data/vtest.avi"

// info is the data of a frame that a test keeps.
type info struct {
	seq      uint64
	pts      time.Duration
	w, h     int
	captured time.Time
	mean     [3]float64
}

// collect runs the source until n frames have come, or to its end when n is 0, and checks that every frame went back to the
// pool.
func collect(t *testing.T, cfg ingest.Config, n int) ([]info, ingest.Stats, error) {
	t.Helper()
	pool := ingest.NewPool(3)
	src, err := source.New(cfg, pool, settings(cfg))
	if err != nil {
		return nil, ingest.Stats{}, err
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []info
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		got = append(got, info{f.Seq, f.PTS, f.Width, f.Height, f.Captured, mean(f)})
		if n > 0 && len(got) == n {
			cancel()
		}
		return nil
	})
	if used := pool.InFlight(); used != 0 {
		t.Errorf("%d frames did not go back to the pool", used)
	}
	checkMats(t)
	return got, src.(ingest.Counter).Stats(), err
}

// checkMats fails when a matrix is still open; only builds with -tags matprofile can tell.
func checkMats(t *testing.T) {
	t.Helper()
	if n := opencv.OpenMats(); n > 0 {
		t.Errorf("%d OpenCV matrices are still open", n)
	}
}

// mean returns the mean colour of about a thousand pixels.
func mean(f *ingest.Frame) (m [3]float64) {
	pixels := f.Width * f.Height
	step, n := max(pixels/1000, 1), 0
	for i := 0; i < pixels; i += step {
		for c := range m {
			m[c] += float64(f.Pix[3*i+c])
		}
		n++
	}
	for c := range m {
		m[c] /= float64(n)
	}
	return m
}

// settings let a source wait for files that are read as fast as their frames are consumed.
func settings(cfg ingest.Config) source.Settings {
	uri, err := ingest.ParseURI(cfg.URI)
	return source.Settings{MayWait: err == nil && !uri.Live() && !cfg.Realtime}
}

func config(uri string) ingest.Config {
	cfg := ingest.DefaultConfig()
	cfg.URI = uri
	return cfg
}

func TestFile(t *testing.T) {
	got, stats, err := collect(t, config(vtest), 25)
	if err != nil || len(got) != 25 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i, f := range got {
		if f.seq != uint64(i) || f.w != 768 || f.h != 576 {
			t.Errorf("frame %d: seq %d, %dx%d", i, f.seq, f.w, f.h)
		}
		if want := time.Duration(i) * 100 * time.Millisecond; (f.pts - want).Abs() > time.Millisecond {
			t.Errorf("frame %d: PTS %v, want %v", i, f.pts, want)
		}
	}
	if stats.Delivered != 25 || stats.DroppedPool != 0 || stats.Opens != 1 || stats.Abandoned != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func TestFileToItsEndWithoutLoss(t *testing.T) {
	got, stats, err := collect(t, config(vtest), 0)
	if err != nil || len(got) != 795 || stats.Read != 795 {
		t.Fatalf("%d frames (read %d), %v, want 795", len(got), stats.Read, err)
	}
}

// The writer and the reader agree on channels, size and order: red comes back red.
func TestClipRoundTrip(t *testing.T) {
	for _, ext := range []string{".mp4", ".mkv", ".avi"} {
		t.Run(ext, func(t *testing.T) {
			path := writeClip(t, ext, 64, 48, 12)
			got, _, err := collect(t, config(path), 0)
			if err != nil || len(got) != 12 {
				t.Fatalf("%d frames, %v, want 12", len(got), err)
			}
			for i, f := range got {
				want := clipColour(i)
				for c := range 3 {
					if d := f.mean[c] - float64(want[c]); d > 12 || d < -12 {
						t.Errorf("frame %d: mean %v, want %v", i, f.mean, want)
						break
					}
				}
			}
		})
	}
}

func clipColour(i int) [3]byte {
	return [...][3]byte{{200, 30, 30}, {30, 200, 30}, {30, 30, 200}, {128, 128, 128}}[i/3%4]
}

// writeClip writes n frames at 10 per second, three of each colour in turn.
func writeClip(t *testing.T, ext string, w, h, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip"+ext)
	vw, err := opencv.CreateVideo(path, 10, w, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		c := clipColour(i)
		if err := vw.Write(slices.Repeat(c[:], w*h)); err != nil {
			t.Fatal(err)
		}
	}
	if err := vw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := vw.Close(); err != nil {
		t.Errorf("second Close() = %v", err)
	}
	checkMats(t)
	return path
}

func TestFileChangesSize(t *testing.T) {
	for _, widths := range [][2]int{{320, 480}, {480, 320}} {
		parts := h264Parts(t, widths)
		path := filepath.Join(t.TempDir(), "clip.h264")
		if err := os.WriteFile(path, slices.Concat(parts[0], parts[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := collect(t, config(path), 0)
		if err != nil || len(got) != 40 {
			t.Fatalf("%d pictures, %v, want 40", len(got), err)
		}
		for i, f := range got {
			if f.w != widths[i/20] {
				t.Errorf("picture %d is %d wide, want %d", i, f.w, widths[i/20])
			}
		}
	}
}

// Two recordings of different sizes one after the other, each picture in its own size.
func TestRecordingChangesSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.ts")
	film := slices.Concat(clip(t, "mpegts", "libx264"), clip(t, "mpegts", "libx264", "-vf", "scale=320:200"))
	if err := os.WriteFile(path, film, 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := collect(t, config(path), 0)
	if err != nil || len(got) != 40 {
		t.Fatalf("%d pictures, %v, want 40", len(got), err)
	}
	for i, f := range got {
		if want := [][2]int{{160, 120}, {320, 200}}[i/20]; f.w != want[0] || f.h != want[1] {
			t.Errorf("picture %d is %dx%d, want %v", i, f.w, f.h, want)
		}
	}
}

// A phone stores an upright film as lying pictures and a tag.
func TestFileIsTurnedUpright(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "phone.mp4")
	for _, args := range [][]string{
		{"-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", filepath.Join(dir, "a.mp4")},
		{"-i", filepath.Join(dir, "a.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90", path},
	} {
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	got, _, err := collect(t, config(path), 0)
	if err != nil || len(got) != 3 || got[0].w != 48 || got[0].h != 64 {
		t.Errorf("%+v, %v, want three pictures of 48x64", got, err)
	}
}

func TestLoopGoesOn(t *testing.T) {
	cfg := config(writeClip(t, ".avi", 32, 32, 5))
	cfg.Loop = true
	got, stats, err := collect(t, cfg, 12)
	if err != nil || len(got) != 12 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i, f := range got {
		if want := time.Duration(i) * 100 * time.Millisecond; f.seq != uint64(i) || (f.pts-want).Abs() > time.Millisecond {
			t.Errorf("frame %d: seq %d, PTS %v, want %v", i, f.seq, f.pts, want)
		}
	}
	if stats.Opens != 1 {
		t.Errorf("opened %d times, want 1: a loop is not a reconnect", stats.Opens)
	}
}

func TestRealtimePacesFile(t *testing.T) {
	cfg := config(writeClip(t, ".avi", 32, 32, 6))
	cfg.Realtime = true
	start := time.Now()
	got, _, err := collect(t, cfg, 0)
	if err != nil || len(got) != 6 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	if took := time.Since(start); took < 500*time.Millisecond {
		t.Errorf("six frames at 10 per second came within %v", took)
	}
	for i := 1; i < len(got); i++ {
		if d := got[i].captured.Sub(got[0].captured) - time.Duration(i)*100*time.Millisecond; d < -5*time.Millisecond {
			t.Errorf("frame %d came %v early", i, -d)
		}
	}
}

// Two recordings one after the other in one file: the second begins a day later, or before the first.
func TestRealtimeDoesNotFreezeAtAJump(t *testing.T) {
	first, late, early := clip(t, "mpegts", "libx264", "-output_ts_offset", "50000"), clip(t, "mpegts", "libx264", "-output_ts_offset", "80000"),
		clip(t, "mpegts", "libx264", "-output_ts_offset", "10")
	for name, second := range map[string][]byte{"ahead": late, "back": early, "the same": first} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jump.ts")
			if err := os.WriteFile(path, slices.Concat(first, second), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := config(path)
			cfg.Realtime = true
			got, _, err := collect(t, cfg, 0)
			if err != nil || len(got) < 35 {
				t.Fatalf("%d pictures, %v, want 40", len(got), err)
			}
			if took := got[len(got)-1].captured.Sub(got[0].captured); took < 3*time.Second || took > 20*time.Second {
				t.Errorf("played for %v, want 4s", took)
			}
		})
	}
}

func TestMaxFPSAndSize(t *testing.T) {
	cfg := config(vtest)
	cfg.MaxFPS, cfg.Width, cfg.Height = 2, 320, 224
	got, stats, err := collect(t, cfg, 4)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i, f := range got {
		if f.seq != uint64(5*i) || f.w != 320 || f.h != 224 {
			t.Errorf("frame %d: seq %d, %dx%d, want %d, 320x224", i, f.seq, f.w, f.h, 5*i)
		}
	}
	if stats.DroppedRate < 12 {
		t.Errorf("stats %+v, want at least 12 dropped by rate", stats)
	}
}

func TestFolderOfDifferentSizes(t *testing.T) {
	dir := t.TempDir()
	for name, side := range map[string]int{"f10.png": 40, "f2.jpg": 32, "f1.bmp": 24, "f003.ppm": 20} {
		blue := slices.Repeat([]byte{9, 80, 200}, side*side)
		if err := opencv.WriteImage(filepath.Join(dir, name), side, side, blue); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"notes.txt", ".hidden.png"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, _, err := collect(t, config(dir), 0)
	if err != nil {
		t.Fatal(err)
	}
	var sides []int
	for i, f := range got {
		sides = append(sides, f.w)
		if f.pts != time.Duration(i)*100*time.Millisecond {
			t.Errorf("picture %d: PTS %v", i, f.pts)
		}
		if f.mean[0] > 20 || f.mean[2] < 190 {
			t.Errorf("picture %d: mean %v, want about 9, 80, 200", i, f.mean)
		}
	}
	if want := []int{24, 32, 20, 40}; !slices.Equal(sides, want) {
		t.Errorf("sides in order %v, want %v", sides, want)
	}
}

// What cannot be read in a folder is left out, counted, and named once; the rest is delivered, upright.
func TestUnreadablePicturesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, side int) {
		if err := opencv.WriteImage(filepath.Join(dir, name), side, 32, slices.Repeat([]byte{9, 80, 200}, side*32)); err != nil {
			t.Fatal(err)
		}
	}
	write("1.jpg", 32)
	write("3.jpg", 48)
	write("8.png", 64)
	write("9.png", 300)
	cut, err := os.ReadFile(filepath.Join(dir, "3.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "2.jpg"), []byte("<html>404</html>"), 0o600),
		os.WriteFile(filepath.Join(dir, "4.jpg"), cut[:len(cut)/2], 0o600),
		os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "5.jpg")),
		os.Symlink(t.TempDir(), filepath.Join(dir, "6.jpg")),
		os.WriteFile(filepath.Join(dir, "7.png"), nil, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	pool := ingest.NewBoundedPool(3, 3*100*32*3) // 9.png needs more
	cfg := config(dir)
	cfg.Loop = true
	src, err := source.New(cfg, pool, source.Settings{MayWait: true, Log: slog.New(slog.NewTextHandler(&text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var widths []int
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if number := int(f.Seq) % 9; f.PTS%(900*time.Millisecond) != time.Duration(number)*100*time.Millisecond || number != []int{0, 2, 7}[len(widths)%3] {
			t.Errorf("picture %d has number %d and time %v", len(widths), f.Seq, f.PTS)
		}
		if widths = append(widths, f.Width); len(widths) == 6 {
			cancel()
		}
		return nil
	})
	if want := []int{32, 48, 64, 32, 48, 64}; err != nil || !slices.Equal(widths, want) {
		t.Errorf("Run() = %v, widths %v, want %v", err, widths, want)
	}
	if n := src.(ingest.Counter).Stats().Unreadable; n < 10 {
		t.Errorf("%d left out in two rounds, want 2 x 5 before the last picture of the second", n)
	}
	for _, name := range []string{"2.jpg", "4.jpg", "5.jpg", "6.jpg", "7.png", "9.png"} {
		if n := strings.Count(text.String(), "/"+name); n != 1 {
			t.Errorf("%s is named %d times, want once: %s", name, n, text.String())
		}
	}
}

// A phone's folder: the photographs that nobody has converted are named and counted like any other picture that cannot be read.
func TestPhotographsOfOtherFormatsAreNamed(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1.jpg", "2.jpg"} {
		if err := opencv.WriteImage(filepath.Join(dir, name), 32, 32, make([]byte, 3*32*32)); err != nil {
			t.Fatal(err)
		}
	}
	heic := []byte("\x00\x00\x00\x20ftypheic\x00\x00\x00\x00mif1heic        ")
	for _, name := range []string{"2.HEIC", "3.HEIC", "4.avif", ".5.heic"} {
		if err := os.WriteFile(filepath.Join(dir, name), heic, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), heic, 0o600); err != nil {
		t.Fatal(err)
	}
	got, stats, err := collect(t, config(dir), 0)
	if err != nil || len(got) != 2 || stats.Unreadable != 2 {
		t.Errorf("%d pictures, %d left out, %v, want 2 and 2: 3.HEIC and 4.avif", len(got), stats.Unreadable, err)
	}
}

func TestFolderWithoutAReadablePicture(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"1.jpg", "2.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config(dir)
	cfg.Loop = true
	if _, stats, err := collect(t, cfg, 0); !errors.Is(err, ingest.ErrUnreadable) || stats.Unreadable != 2 ||
		!strings.Contains(err.Error(), "none of its 2 pictures") {
		t.Errorf("Run() = %v, stats %+v", err, stats)
	}
}

func TestErrorsNameTheThing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	clip, err := os.ReadFile(vtest)
	if err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, uri string
		is        error
		has       string
	}{
		{"missing file", filepath.Join(dir, "none.mp4"), fs.ErrNotExist, "none.mp4\": no such file or folder"},
		{"text as video", write("text.mp4", "this is not a video\n"), ingest.ErrUnreadable, `open video "`},
		{"empty video", write("empty.mp4", ""), ingest.ErrUnreadable, "not a readable picture or video"},
		{"half a header", write("head.avi", string(clip[:100])), ingest.ErrUnreadable, "head.avi"},
		{"text as picture", write("text.png", "this is not a picture\n"), ingest.ErrUnreadable, `read picture "`},
		{"folder without pictures", empty, ingest.ErrUnreadable, "it holds no .png"},
		{"no such device", "camera:77", ingest.ErrConnect, "no such device"},
		{"closed port", "rtsp://admin:hunter2@127.0.0.1:1/live", ingest.ErrConnect, `"rtsp://***@127.0.0.1:1/live"`},
		{"unknown scheme", "ftp://admin:hunter2@host/x", ingest.ErrUnsupported, "want a file, a folder, rtsp://"},
		{"bad pipeline", "gst:nosuchelement ! appsink", ingest.ErrConnect, "gst-launch-1.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := collect(t, config(tt.uri), 0)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.has) {
				t.Errorf("error %q, want one that matches %q and contains %q", err, tt.is, tt.has)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q shows the password or has several lines", err)
			}
		})
	}
}

func TestSinkErrorEndsTheRun(t *testing.T) {
	pool := ingest.NewPool(2)
	src, err := source.New(config(vtest), pool, source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		f.Release()
		return full
	})
	if !errors.Is(err, full) || pool.InFlight() != 0 {
		t.Errorf("Run() = %v with %d frames in flight", err, pool.InFlight())
	}
}

// Without a free frame the source drops and counts pictures, unless it may wait.
func TestOnlyASourceThatMayWaitIsLossless(t *testing.T) {
	cfg := config(writeClip(t, ".avi", 32, 32, 12))
	pool := ingest.NewPool(1)
	src, err := source.New(cfg, pool, source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var held []*ingest.Frame
	err = src.Run(t.Context(), func(_ context.Context, f *ingest.Frame) error {
		held = append(held, f)
		return nil
	})
	stats := src.(ingest.Counter).Stats()
	if err != nil || len(held) != 1 || stats.Read != 12 || stats.Delivered != 1 || stats.DroppedPool != 11 {
		t.Errorf("Run() = %v, %d frames, stats %+v, want one frame and 11 dropped", err, len(held), stats)
	}
	for _, f := range held {
		f.Release()
	}
	if got, stats, err := collect(t, cfg, 0); err != nil || len(got) != 12 || stats.DroppedPool != 0 {
		t.Errorf("with MayWait: %d frames, %v, stats %+v, want 12 and none dropped", len(got), err, stats)
	}
}

func TestStopWhileWaitingForAFrame(t *testing.T) {
	pool := ingest.NewPool(1)
	src, err := source.New(config(vtest), pool, source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	held := make(chan *ingest.Frame, 1)
	done := make(chan error)
	go func() {
		done <- src.Run(ctx, func(_ context.Context, f *ingest.Frame) error { held <- f; return nil })
	}()
	f := <-held // now the pool is empty and the source waits for a frame
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("Run did not stop")
	}
	f.Release()
	if pool.InFlight() != 0 {
		t.Error("a frame did not go back to the pool")
	}
}
