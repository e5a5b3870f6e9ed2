package files_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/files"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const width, height = 256, 128

// writer returns a writer of all formats with the default bundle.
func writer(t *testing.T) files.Writer {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.Threshold = 1, 2
	engine, err := ort.OpenEngine(b, cfg, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return files.Writer{
		Detector: engine.Detector, Dir: t.TempDir(), Formats: []string{files.NPY, files.PNG, files.Overlay, files.JSON},
	}
}

// ground draws a grey ground with a pink block on it.
func ground(t *testing.T, path string) {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			g := uint8(90 + (x*7+y*13)%20)
			c := color.RGBA{g, g, g, 255}
			if x > 100 && x < 150 && y > 50 && y < 90 {
				c = color.RGBA{255, 60, 200, 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// array reads a NumPy file: its shape and its values.
func array(t *testing.T, path string) (shape string, values []float32) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile(`'shape': \(([^)]*)\)`).FindSubmatch(raw[:128])
	if !strings.HasPrefix(string(raw), "\x93NUMPY\x01\x00") || head == nil {
		t.Fatalf("%s begins with %q", path, raw[:128])
	}
	for b := raw[128:]; len(b) >= 4; b = b[4:] {
		values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return string(head[1]), values
}

func picture(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return img
}

func document(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A picture gives an array of its own size, a map, an overlay and its JSON, and all of them agree on where the peak is.
func TestPicture(t *testing.T) {
	w := writer(t)
	in := filepath.Join(t.TempDir(), "ground.v1.png")
	ground(t, in)
	sum, err := w.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	shape, values := array(t, filepath.Join(w.Dir, "ground.v1_scores.npy"))
	if shape != "128, 256," || len(values) != width*height {
		t.Fatalf("array of %s with %d values, want 128, 256", shape, len(values))
	}
	top, low := 0, 0
	for i, v := range values {
		if v > values[top] {
			top = i
		}
		if v < values[low] {
			low = i
		}
	}
	heat := picture(t, filepath.Join(w.Dir, "ground.v1_map.png"))
	over := picture(t, filepath.Join(w.Dir, "ground.v1_overlay.jpg"))
	for name, img := range map[string]image.Image{"map": heat, "overlay": over} {
		if img.Bounds() != image.Rect(0, 0, width, height) {
			t.Errorf("%s is %v", name, img.Bounds())
		}
	}
	warmth := func(i int) int {
		r, _, b, _ := heat.At(i%width, i/width).RGBA()
		return int(r>>8) - int(b>>8)
	}
	if warmth(top) <= warmth(low) {
		t.Errorf("the map is %d at the peak and %d at the lowest score, want warmer", warmth(top), warmth(low))
	}
	var doc files.Score
	document(t, filepath.Join(w.Dir, "ground.v1_scores.json"), &doc)
	if doc.Source != "ground.v1.png" || doc.Width != width || doc.Threshold != 2 || doc.Peak != sum.Score.Peak ||
		len(doc.Timesteps) != 1 || doc.Peak < values[top] {
		t.Errorf("document %+v, summary %+v", doc, sum)
	}
	if line := sum.String(); !strings.HasPrefix(line, in+": 1 frame, peak ") {
		t.Errorf("line %q", line)
	}
}

// A video gives one array of its maps, an overlay video of as many frames, and a list.
func TestVideo(t *testing.T) {
	w := writer(t)
	dir := t.TempDir()
	ground(t, filepath.Join(dir, "ground.png"))
	in := filepath.Join(dir, "clip.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-loop", "1", "-framerate", "5", "-i",
		filepath.Join(dir, "ground.png"), "-frames:v", "4", "-pix_fmt", "yuv420p", in).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s: run `make deps`", err, out)
	}
	sum, err := w.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var list []files.Score
	document(t, filepath.Join(w.Dir, "clip_scores.json"), &list)
	if len(list) != 4 || sum.Frames != 4 || list[3].Frame != 3 || list[3].PTS <= list[2].PTS {
		t.Fatalf("%d of %d frames: %+v", len(list), sum.Frames, list)
	}
	shape, values := array(t, filepath.Join(w.Dir, "clip_scores.npy"))
	cells := list[0].MapWidth * list[0].MapHeight
	if !strings.HasPrefix(shape, "4, ") || len(values) != 4*cells {
		t.Errorf("array of %s with %d values, want 4 maps of %d", shape, len(values), cells)
	}
	if !strings.HasPrefix(sum.String(), in+": 4 frames, peak ") {
		t.Errorf("line %q", sum)
	}
	out, err = exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries",
		"stream=width,height,r_frame_rate,nb_read_frames", filepath.Join(w.Dir, "clip_overlay.mp4")).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "256,128,5/1,4" {
		t.Errorf("ffprobe: %v: %s", err, got)
	}
}

// Something that is neither a picture nor a video gives an error that names it, and no file.
func TestUnreadable(t *testing.T) {
	w := writer(t)
	for _, name := range []string{"text.png", "text.mp4"} {
		in := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(in, []byte("neither"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Score(t.Context(), in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Score(%s) = %v, want an error that names it", name, err)
		}
	}
	if left, err := os.ReadDir(w.Dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// ffmpeg runs FFmpeg's command in dir.
func ffmpeg(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error", "-y"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s: run `make deps`", err, out)
	}
}

// probe returns entries of a video's stream and format as ffprobe prints them.
func probe(t *testing.T, path, entries string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-count_frames", "-of", "csv=p=0", "-show_entries",
		entries, path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func seconds(t *testing.T, path string) float64 {
	t.Helper()
	s, err := strconv.ParseFloat(probe(t, path, "format=duration"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The overlay of a video plays for as long as the video: Matroska's rounded times, a long first frame, a rate that drops.
func TestOverlayPlaysAtItsSpeed(t *testing.T) {
	w := writer(t)
	w.Formats = []string{files.Overlay}
	dir := t.TempDir()
	video := func(name, times string) {
		ffmpeg(t, dir, "-f", "lavfi", "-i", "testsrc=s=64x64:r=30:d=1.5", "-vf", "setpts="+times, "-vsync", "vfr", name)
	}
	video("cfr30.mkv", "PTS")
	video("first.mp4", "'if(eq(N,0),0,2/TB+(N-1)/30/TB)'")
	video("slower.mkv", "'if(lt(N,30),N/30/TB,(1+(N-30)/5)/TB)'")
	for name, tolerance := range map[string]float64{"cfr30.mkv": 0.034, "first.mp4": 0.034, "slower.mkv": 0.201} {
		in := filepath.Join(dir, name)
		sum, err := w.Score(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		over := filepath.Join(w.Dir, files.Stem(in)+"_overlay.mp4")
		if got, want := seconds(t, over), seconds(t, in); math.Abs(got-want) > tolerance { // the last frame's own
			t.Errorf("%s: the overlay plays for %.3f s, want %.3f", name, got, want)
		}
		if got := probe(t, over, "stream=nb_read_frames"); got != strconv.Itoa(sum.Frames) {
			t.Errorf("%s: %s frames, want %d", name, got, sum.Frames)
		}
	}
}

// A video whose size changes is scored through, on the grid of its first frame.
func TestSizeChange(t *testing.T) {
	w := writer(t)
	dir := t.TempDir()
	var whole []byte
	for i, size := range []string{"256x128", "320x256", "256x128"} {
		part := strconv.Itoa(i) + ".ts"
		ffmpeg(t, dir, "-f", "lavfi", "-i", "testsrc=s="+size+":r=5:d=0.6", "-c:v", "libx264", "-output_ts_offset", strconv.Itoa(i), part)
		raw, err := os.ReadFile(filepath.Join(dir, part))
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, raw...)
	}
	in := filepath.Join(dir, "changes.ts")
	if err := os.WriteFile(in, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := w.Score(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var list []files.Score
	document(t, filepath.Join(w.Dir, "changes_scores.json"), &list)
	if len(list) != 9 || list[0].Width != 256 || list[4].Width != 320 || list[4].MapHeight == list[0].MapHeight || list[8].Width != 256 {
		t.Fatalf("%d frames: %+v", len(list), list)
	}
	if sum.Resized != 3 || !strings.Contains(sum.String(), "9 frames (3 of another size than the first, resized to it), peak") {
		t.Errorf("summary %q", sum)
	}
	shape, values := array(t, filepath.Join(w.Dir, "changes_scores.npy"))
	cells := list[0].MapWidth * list[0].MapHeight
	if !strings.HasPrefix(shape, "9, ") || len(values) != 9*cells {
		t.Errorf("array of %s with %d values, want 9 maps of %d", shape, len(values), cells)
	}
	if got := probe(t, filepath.Join(w.Dir, "changes_overlay.mp4"), "stream=width,height,nb_read_frames"); got != "256,128,9" {
		t.Errorf("overlay: %s", got)
	}
}

func TestOnePixel(t *testing.T) {
	w := writer(t)
	dir := t.TempDir()
	ffmpeg(t, dir, "-f", "lavfi", "-i", "color=red:s=4x4:r=10:d=0.5,format=rgb24,crop=1:1", "-c:v", "ffv1", "dot.mkv")
	if _, err := w.Score(t.Context(), filepath.Join(dir, "dot.mkv")); err != nil {
		t.Fatal(err)
	}
	if got := probe(t, filepath.Join(w.Dir, "dot_overlay.mp4"), "stream=nb_read_frames"); got != "5" {
		t.Errorf("overlay: %s frames", got)
	}
}

// A disk without room leaves no film and no array, and is an error that is not the input's.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	ffmpeg(t, dir, "-f", "lavfi", "-i", "testsrc=s=256x128:r=5:d=1", "clip.mp4")
	for _, format := range []string{files.Overlay, files.NPY} {
		w := writer(t)
		w.Formats = []string{format}
		signal.Ignore(syscall.SIGXFSZ)
		var was syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 2000, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		_, err := w.Score(t.Context(), filepath.Join(dir, "clip.mp4"))
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
		signal.Reset(syscall.SIGXFSZ)
		var input *files.InputError
		if err == nil || errors.As(err, &input) || !strings.Contains(err.Error(), "clip_") {
			t.Errorf("%s: %v", format, err)
		}
		if left, err := os.ReadDir(w.Dir); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", format, left, err)
		}
	}
}

// A video that breaks off leaves nothing that looks whole.
func TestCutShort(t *testing.T) {
	w := writer(t)
	dir := t.TempDir()
	ffmpeg(t, dir, "-f", "lavfi", "-i", "testsrc=s=256x128:r=5:d=1", "clip.mp4")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Score(ctx, filepath.Join(dir, "clip.mp4")); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(w.Dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
