package eval_test

import (
	"context"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// synthetic returns a data set of n images of width × height, and visits that make their scores: squares of 64 pixels, every
// eleventh anomalous and brighter, with independent noise on every pixel.
func synthetic(n, width, height int) (*dataset.Dataset, dataset.Visits) {
	d := &dataset.Dataset{Name: "folder", OOD: 1, Items: make([]dataset.Item, n)}
	return d, func(ctx context.Context, visit func(x *dataset.Labelled) error) error {
		x := &dataset.Labelled{
			Width: width, Height: height, Labels: make([]uint8, width*height), Scores: make([]float32, width*height),
		}
		state := uint64(1)
		for x.Index = range n {
			for i := range x.Labels {
				block := i/width/64*31 + i%width/64 + 5*x.Index
				x.Labels[i] = 0
				if block%11 == 0 {
					x.Labels[i] = 1
				}
				state = state*6364136223846793005 + 1442695040888963407
				x.Scores[i] = float32(state>>40)/(1<<23) + float32(x.Labels[i])
			}
			if err := visit(x); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
}

func TestMeasure(t *testing.T) {
	d, visits := synthetic(3, 128, 128)
	m, err := eval.Measure(t.Context(), d, eval.Result{Dataset: "folder", Method: "m"}, visits, eval.Options{
		FPR: eval.FPRNearest, Bootstrap: 4, Components: true, Panels: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of the four squares of an image, one is anomalous in images 0 and 2 and none in image 1.
	if m.Images != 3 || m.Pixels != 3*128*128 || m.OODShare != 2.0/12 || m.Bootstrap.N != 4 {
		t.Errorf("row %+v", m.Result)
	}
	if c := m.Components; c == nil || c.Truth != 2 || c.Threshold != m.Threshold || c.SIoU <= 0 {
		t.Errorf("components %+v", c)
	}
	one, none := m.PerImage[0], m.PerImage[1]
	if one.AP == nil || *one.AP < m.AP || one.OODShare != 0.25 {
		t.Errorf("the image with an anomaly: %+v, pooled AP %v", one, m.AP)
	}
	if none.AP != nil || none.AUROC != nil || none.FPR95 != nil || none.Pixels != 128*128 {
		t.Errorf("the image without an anomaly: %+v, want no rates", none)
	}
	var places []string
	for _, p := range m.Panels {
		places = append(places, p.Place)
		if p.Width != 128 || p.Height != 128 || len(p.Scores) != 128*128 || *p.Image.AP <= 0 {
			t.Errorf("the %s panel is %d×%d of image %+v", p.Place, p.Width, p.Height, p.Image)
		}
	}
	if want := []string{"best", "worst"}; !slices.Equal(places, want) {
		t.Errorf("panels %v, want %v", places, want)
	}
}

// A hundred maps of 2048×1024, components included, must fit in 2 GB. Run this alone, for it reports the peak of the process:
//
//	go test -run '^$' -bench HundredMaps/mode=exact -benchtime 1x ./detector/eval
func BenchmarkHundredMaps(b *testing.B) {
	for _, binned := range []bool{true, false} {
		b.Run("mode="+map[bool]string{true: "fast", false: "exact"}[binned], func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(25)) // as oodcast eval does
			d, visits := synthetic(100, 2048, 1024)
			for b.Loop() {
				_, err := eval.Measure(b.Context(), d, eval.Result{}, visits, eval.Options{
					FPR: eval.FPRNearest, Binned: binned, Components: true, Panels: true,
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(peakMegabytes(b), "peak-MB")
		})
	}
}

// peakMegabytes returns the largest resident size of the process so far.
func peakMegabytes(b *testing.B) float64 {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc:", err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmHWM:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}
