package scene_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/scene"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

func demoClip(t testing.TB) string {
	t.Helper()
	path := os.Getenv("OODCAST_DEMO_CLIP")
	if path == "" {
		t.Skip("SKIPPED: no footage: OODCAST_DEMO_CLIP is not set (run make test)")
	}
	return path
}

// play passes the frames of a film to f at the speed of the film, reduced to a width unless that is 0, and stops when f returns
// false.
func play(t testing.TB, path string, width int, f func(i int, frame *ingest.Frame) bool) {
	t.Helper()
	cfg := ingest.DefaultConfig()
	cfg.URI, cfg.Width, cfg.Height = path, width, 3*width/4
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	start, i := time.Unix(1_000_000, 0), 0
	err = src.Run(ctx, func(_ context.Context, frame *ingest.Frame) error {
		defer frame.Release()
		frame.Captured = start.Add(frame.PTS)
		if ctx.Err() == nil && !f(i, frame) {
			stop()
		}
		i++
		return nil
	})
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}

// A mishap that begins at 15 s is told within two seconds, by its own name and no other, and is over soon after it ends.
func TestMishaps(t *testing.T) {
	const from, to = 150, 200
	for name, c := range map[string]struct {
		want   scene.Category
		happen func(*ingest.Frame) *ingest.Frame
	}{
		"shifted":         {scene.Moved, ingesttest.Mishap{X: 0.12, Y: 0.05}.Happen},
		"turned":          {scene.Moved, ingesttest.Mishap{Angle: 12}.Happen},
		"defocused":       {scene.Defocused, func(f *ingest.Frame) *ingest.Frame { return blur(f, 3, 1, 0) }},
		"more blurred":    {scene.Defocused, func(f *ingest.Frame) *ingest.Frame { return blur(f, 6, 1, 0) }},
		"hand":            {scene.Covered, func(f *ingest.Frame) *ingest.Frame { return blur(f, 75, 0.3, 20) }},
		"paint":           {scene.Covered, func(f *ingest.Frame) *ingest.Frame { return blur(f, 1, 0.02, 180) }},
		"black":           {scene.Covered, func(f *ingest.Frame) *ingest.Frame { return blur(f, 0, 0, 0) }},
		"brighter":        {"", ingesttest.Mishap{Gain: 1.4}.Happen},
		"darker":          {"", ingesttest.Mishap{Gain: 0.5}.Happen},
		"evening":         {"", ingesttest.Mishap{Warmth: 0.2, Contrast: 0.8}.Happen},
		"nudged":          {"", ingesttest.Mishap{X: 0.004}.Happen},
		"a third covered": {"", func(f *ingest.Frame) *ingest.Frame { return third(f, blur(f, 75, 0.3, 20)) }},
		"nothing at all":  {"", func(f *ingest.Frame) *ingest.Frame { return blur(f, 0, 1, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scene.New(scene.Config{})
			var told []string
			play(t, demoClip(t), 384, func(i int, f *ingest.Frame) bool {
				if i >= from && i < to {
					f = c.happen(f)
				}
				category := scene.Category("")
				if found := w.Update(f); len(found) > 0 {
					category = found[0].Category
				}
				if n := len(told); category != "" && n == 0 || n > 0 && told[n-1][:len(category)] != string(category) {
					told = append(told, fmt.Sprintf("%s at %d", category, i))
				}
				switch {
				case i < from && category != "":
					t.Fatalf("frame %d: %s before anything happened", i, category)
				case i >= from && category != "" && category != c.want:
					t.Fatalf("frame %d: %s, want %q", i, category, c.want)
				case i >= from+20 && i < to && category != c.want:
					t.Fatalf("frame %d, %d after the mishap: %q, want %q", i, i-from, category, c.want)
				case i >= to+30 && category != "":
					t.Fatalf("frame %d, %d after the end: %s", i, i-to, category)
				}
				return i < to+60
			})
			t.Log(told)
		})
	}
}

// Footage on which nothing happens to the camera: people and cyclists, near ones too, changing light, and a camera on a car.
func TestNormalFootage(t *testing.T) {
	films := []string{demoClip(t)}
	if data := os.Getenv("OODCAST_DATA"); data != "" {
		for _, pattern := range []string{"clips/*.mp4", "ucsd_ped2/t*/0[1-3].*", "avenue/test/*.*"} {
			found, err := filepath.Glob(filepath.Join(data, pattern))
			if err != nil {
				t.Fatal(err)
			}
			films = append(films, found...)
		}
	} else {
		t.Log("SKIPPED: only the demo clip was watched: OODCAST_DATA is not set")
	}
	for _, film := range films {
		if !slices.Contains([]string{".avi", ".mp4", ".mkv"}, filepath.Ext(film)) {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(film))+"/"+filepath.Base(film), func(t *testing.T) {
			w := scene.New(scene.Config{StillAfter: 30 * time.Second, MinArea: 0.0005})
			told := ""
			play(t, film, 0, func(i int, f *ingest.Frame) bool {
				now := ""
				for _, found := range w.Update(f) {
					now += fmt.Sprint(" ", found.Category, place(found))
					if found.Category == scene.Covered || found.Category == scene.Moved || found.Category == scene.Defocused {
						t.Errorf("frame %d: %s", i, found.Category)
					}
				}
				if now != told {
					t.Logf("frame %d:%s", i, now)
					told = now
				}
				return true
			})
		})
	}
}

// blur returns the frame averaged over squares of the given radius, with brightness v·gain + offset.
func blur(f *ingest.Frame, radius int, gain, offset float64) *ingest.Frame {
	out := ingest.NewFrame(f.Width, f.Height)
	out.Captured, out.PTS = f.Captured, f.PTS
	sums := make([]int, 3*(f.Width+1)*(f.Height+1))
	stride := 3 * (f.Width + 1)
	for y := range f.Height {
		row := [3]int{}
		for x := range f.Width {
			for c := range 3 {
				row[c] += int(f.Pix[3*(y*f.Width+x)+c])
				sums[(y+1)*stride+3*(x+1)+c] = sums[y*stride+3*(x+1)+c] + row[c]
			}
		}
	}
	for y := range f.Height {
		y0, y1 := max(0, y-radius), min(f.Height, y+radius+1)
		for x := range f.Width {
			x0, x1 := max(0, x-radius), min(f.Width, x+radius+1)
			for c := range 3 {
				sum := sums[y1*stride+3*x1+c] - sums[y0*stride+3*x1+c] - sums[y1*stride+3*x0+c] + sums[y0*stride+3*x0+c]
				v := float64(sum)/float64((y1-y0)*(x1-x0))*gain + offset
				out.Pix[3*(y*f.Width+x)+c] = byte(min(255, max(0, v)))
			}
		}
	}
	return out
}

// third returns the left third of b in front of a.
func third(a, b *ingest.Frame) *ingest.Frame {
	for y := range a.Height {
		copy(a.Pix[3*y*a.Width:][:a.Width], b.Pix[3*y*a.Width:][:a.Width])
	}
	return a
}

// place returns the box of a finding in fractions of the picture.
func place(f scene.Finding) (box [4]float64) {
	box = [4]float64{1, 1, 0, 0}
	for _, i := range f.Cells {
		x, y := i%f.Width, i/f.Width
		box[0], box[1] = min(box[0], float64(x)/float64(f.Width)), min(box[1], float64(y)/float64(f.Height))
		box[2], box[3] = max(box[2], float64(x+1)/float64(f.Width)), max(box[3], float64(y+1)/float64(f.Height))
	}
	return box
}

// Something that is put down is left after the time given, where it lies; something that was there from the start is taken
// once it has gone. People walk past in the meantime. Both are over when the place is as it was.
func TestLeftAndTaken(t *testing.T) {
	const after = 10 * time.Second
	for name, c := range map[string]struct {
		want     scene.Category
		from, to int // frames with the object
		begin    int // of the change
		over     int // frames after the end of the object with findings
	}{
		"left":  {scene.Left, 200, 400, 200, 40},
		"taken": {scene.Taken, 0, 250, 250, 300},
	} {
		for _, x := range []float64{0.2, 0.7} {
			t.Run(fmt.Sprint(name, " at ", x), func(t *testing.T) {
				t.Parallel()
				spot := ingesttest.Waypoint{X: x, Y: 0.8, Height: 0.08}
				paster, err := ingesttest.NewPaster(384, 288, []ingesttest.Placement{
					{Object: ingesttest.ObjectNames()[0], From: c.from, To: c.to, Path: []ingesttest.Waypoint{spot}},
				}, nil)
				if err != nil {
					t.Fatal(err)
				}
				w, first, others := scene.New(scene.Config{StillAfter: after, MinArea: 0.0005}), 0, map[string]bool{}
				play(t, demoClip(t), 384, func(i int, f *ingest.Frame) bool {
					paster.Paste(f.Pix, i)
					for _, found := range w.Update(f) {
						box := place(found)
						right := found.Category == c.want && i >= c.begin && i < c.to+c.over && box[0] > x-0.1 && box[2] < x+0.1 && box[1] > 0.7 && box[3] < 0.85
						switch key := fmt.Sprint(found.Category, box); {
						case right && first == 0:
							first = i
						case !right && !others[key]:
							others[key] = true
							t.Errorf("frame %d: %s at %.2f", i, found.Category, box)
						}
					}
					return i < 450
				})
				if wait := first - c.begin; wait < 100 || wait > 150 {
					t.Errorf("%s %d frames after the change, want 100 to 150", c.want, wait)
				}
			})
		}
	}
}

// BenchmarkUpdate is what a frame costs; frames within a tenth of a second cost nothing.
func BenchmarkUpdate(b *testing.B) {
	for _, size := range [][2]int{{768, 576}, {1920, 1080}, {3840, 2160}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			w, f := scene.New(scene.Config{StillAfter: 30 * time.Second, MinArea: 0.0005}), ingest.NewFrame(size[0], size[1])
			for i := range f.Pix {
				f.Pix[i] = byte(i * i >> 9)
			}
			f.Captured = time.Unix(1000, 0)
			b.ReportAllocs()
			for b.Loop() {
				f.Captured = f.Captured.Add(100 * time.Millisecond)
				w.Update(f)
			}
		})
	}
}
