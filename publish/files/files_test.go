package files_test

import (
	"encoding/binary"
	"encoding/json"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
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
	b, err := models.Open("roadscene")
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
