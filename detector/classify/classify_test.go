package classify_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/classify"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

func TestMain(m *testing.M) {
	if _, err := ort.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// featuresOnly writes an encoder of the mean colours of cells, without classes.
func featuresOnly(t *testing.T) *models.Bundle {
	t.Helper()
	raw, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	model, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.KeepOutputs("features"); err != nil {
		t.Fatal(err)
	}
	m := models.DefaultManifest()
	m.Name, m.Encoder = "colours", orttest.Spec()
	m.Encoder.Classes = []string{}
	dir := filepath.Join(t.TempDir(), "encoder")
	files := map[string][]byte{models.EncoderFile: model.Marshal(), models.CardFile: []byte("# colours\n\nText.\n")}
	if err := models.Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func open(t *testing.T, dir string) *models.Bundle {
	t.Helper()
	b, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The colours of the classes of the test. No channel alone tells all of them apart.
var colours = []color.RGBA{{200, 60, 60, 255}, {60, 200, 60, 255}, {60, 60, 200, 255}}

// frames writes pictures of ground 0 with rectangles of the classes 1 and 2, and a strip that 255 leaves out.
func frames(t *testing.T, n int, seed uint64) *dataset.Dataset {
	t.Helper()
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(seed, 9))
	const w, h = 256, 128
	for i := range n {
		pic, mask := image.NewRGBA(image.Rect(0, 0, w, h)), image.NewGray(image.Rect(0, 0, w, h))
		at := []image.Rectangle{}
		for range 2 {
			at = append(at, image.Rect(0, 0, 60+r.IntN(60), 40+r.IntN(40)).Add(image.Pt(r.IntN(w-60), r.IntN(h-40))))
		}
		for y := range h {
			for x := range w {
				label := 0
				for k, box := range at {
					if image.Pt(x, y).In(box) {
						label = k + 1
					}
				}
				c := colours[label]
				if y < 8 {
					label, c = dataset.Ignore, color.RGBA{255, 255, 255, 255}
				}
				noise := func(v uint8) uint8 { return uint8(max(0, min(255, int(v)+r.IntN(81)-40))) }
				pic.SetRGBA(x, y, color.RGBA{noise(c.R), noise(c.G), noise(c.B), 255})
				mask.SetGray(x, y, color.Gray{uint8(label)})
			}
		}
		for folder, m := range map[string]image.Image{"images": pic, "labels": mask} {
			write(t, filepath.Join(dir, folder, fmt.Sprintf("%02d.png", i)), m)
		}
	}
	d, err := dataset.Open("folder", dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, path string, m image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func options(t *testing.T) classify.Options {
	t.Helper()
	return classify.Options{
		Bundle: featuresOnly(t), Labels: frames(t, 25, 1), Read: opencv.ReadStored, Out: filepath.Join(t.TempDir(), "out"), Source: "colours",
		Steps: 400, Seed: 1, ORT: ort.Options{Threads: 1},
	}
}

// A bundle of features learns classes: on frames that took no part the pixels are right but those near borders, whose cells have
// 32 pixels, and the written bundle computes what was measured. The largest class alone has a mean IoU of 0.2.
func TestRun(t *testing.T) {
	opt := options(t)
	opt.Classes = []string{"ground", "tree", "water"}
	r, err := classify.Run(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	if r.Frames != 20+1 || r.Checked != 4 || r.MeanIoU < 0.75 || r.Accuracy < 0.9 || slices.Min(r.IoU) < 0.7 || r.Left < 0.05 || r.Left > 0.07 {
		t.Errorf("%+v", r)
	}
	b := open(t, opt.Out)
	e := b.Manifest.Encoder
	if strings.Join(e.Classes, " ") != "ground tree water" || !b.EncoderOnly() || e.FeaturesOnly() || e.LogitsStride != 8 {
		t.Errorf("encoder %+v", e)
	}
	if c, err := (ort.Runner{}).CheckGolden(b); err != nil || c == nil || c.Difference > 1e-5 {
		t.Errorf("CheckGolden() = %+v, %v", c, err)
	}
	card, err := b.ReadFile(models.CardFile)
	if err != nil || !strings.Contains(string(card), "Text.\n\n## Classes\n\nA linear classifier") {
		t.Errorf("card %q, %v", card, err)
	}

	// Once more, on the bundle that has classes: they are replaced, and with the same seed they are the same.
	again := opt
	again.Bundle, again.Out = b, filepath.Join(t.TempDir(), "again")
	twice, err := classify.Run(t.Context(), again)
	if err != nil || twice.MeanIoU != r.MeanIoU || twice.Loss != r.Loss {
		t.Errorf("again: %+v, %v", twice, err)
	}
	card, err = open(t, again.Out).ReadFile(models.CardFile)
	if err != nil || strings.Count(string(card), "## Classes") != 1 {
		t.Errorf("card %q, %v", card, err)
	}

	// Measured on labels that are wrong, it is wrong.
	again.Check, again.Out = frames(t, 4, 2), filepath.Join(t.TempDir(), "third")
	first := again.Check.Items[0].Label
	for i := range 3 {
		again.Check.Items[i].Label = again.Check.Items[i+1].Label
	}
	again.Check.Items[3].Label = first
	wrong, err := classify.Run(t.Context(), again)
	if err != nil || wrong.Frames != 25 || wrong.Checked != 4 || wrong.MeanIoU > 0.7 {
		t.Errorf("with labels of other frames: %+v, %v", wrong, err)
	}
}

// Without names, the classes are those of the labels.
func TestRunUnnamed(t *testing.T) {
	opt := options(t)
	r, err := classify.Run(t.Context(), opt)
	if err != nil || strings.Join(r.Classes, ",") != "class 0,class 1,class 2" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Labels that nothing can be learnt from are refused before anything is written.
func TestRunRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		edit       func(*classify.Options)
	}{
		{"no such class", "the frames to train on show 1 of the 2 classes (not b)", func(o *classify.Options) {
			o.Classes = []string{"a", "b"}
			for _, it := range o.Labels.Items {
				write(t, it.Label, image.NewGray(image.Rect(0, 0, 256, 128)))
			}
		}},
		{"one class", "1 classes, want 2 to 255", func(o *classify.Options) { o.Classes = []string{"a"} }},
		{"size", "has 256×128 pixels, its labels", func(o *classify.Options) {
			write(t, o.Labels.Items[3].Label, image.NewGray(image.Rect(0, 0, 128, 128)))
		}},
	} {
		opt := options(t)
		tt.edit(&opt)
		if _, err := classify.Run(t.Context(), opt); !errors.Is(err, classify.ErrLabels) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if _, err := os.Stat(opt.Out); err == nil {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}
