package detector

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// guidedReference is a literal implementation of the joint bilateral filter: every cell from all of its neighbours.
func guidedReference(values, guide []float32, w, h int) []float64 {
	out := make([]float64, w*h)
	for i := range out {
		sum, weight := 0.0, 0.0
		for y := max(0, i/w-guideRadius); y <= min(h-1, i/w+guideRadius); y++ {
			for x := max(0, i%w-guideRadius); x <= min(w-1, i%w+guideRadius); x++ {
				near := math.Pow(float64(x-i%w), 2) + math.Pow(float64(y-i/w), 2)
				alike := 0.0
				for c := range 3 {
					alike += math.Pow(float64(guide[3*(y*w+x)+c]-guide[3*i+c]), 2)
				}
				k := math.Exp(-near/(2*guideDistanceSigma*guideDistanceSigma) - alike/(2*guideColourSigma*guideColourSigma))
				sum, weight = sum+k*float64(values[y*w+x]), weight+k
			}
		}
		out[i] = sum / weight
	}
	return out
}

func TestGuidedFilter(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, size := range [][2]int{{23, 17}, {3, 40}, {1, 1}, {5, 2}} {
		w, h := size[0], size[1]
		values, guide := make([]float32, w*h), make([]float32, 3*w*h)
		for i := range values {
			values[i] = float32(r.NormFloat64())
		}
		for i := range guide {
			guide[i] = 0.3 * r.Float32()
		}
		want := guidedReference(values, guide, w, h)
		newGuided().filter(values, guide, w, h)
		for i, v := range values {
			if math.Abs(float64(v)-want[i]) > 0.01 { // the table of weights is accurate to 1 %
				t.Fatalf("%dx%d: cell %d = %v, want %v", w, h, i, v, want[i])
			}
		}
	}
}

// The filter does not mix values across an edge of the picture, and smooths noise away from edges.
func TestGuidedKeepsEdges(t *testing.T) {
	const w, h = 40, 20
	r := rand.New(rand.NewPCG(2, 1))
	values, guide := make([]float32, w*h), make([]float32, 3*w*h)
	for i := range values {
		side := float32(i % w / (w / 2))
		values[i] = 10*side + 0.1*float32(r.NormFloat64())
		for c := range 3 {
			guide[3*i+c] = 0.2 + 0.5*side
		}
	}
	newGuided().filter(values, guide, w, h)
	for i, v := range values {
		if want := 10 * float64(i%w/(w/2)); math.Abs(float64(v)-want) > 0.1 {
			t.Fatalf("column %d: %v, want %v", i%w, v, want)
		}
	}
}

func TestGuideTo(t *testing.T) {
	f := noiseFrame(1, cells{20, 10, 50, 40})
	for _, size := range [][2]int{{16, 8}, {7, 5}, {1, 1}} {
		w, h := size[0], size[1]
		want := means(f, w, h)
		for i, v := range GuideTo(nil, f.Pix, f.Width, f.Height, w, h) {
			if math.Abs(float64(v-want[i])) > 1e-5 {
				t.Fatalf("%dx%d: value %d = %v, want %v", w, h, i, v, want[i])
			}
		}
	}
	// A grid finer than the picture repeats pixels.
	got := GuideTo(make([]float32, 0, 12), []byte{0, 51, 102, 255, 255, 255}, 2, 1, 4, 1)
	if got[3] != got[0] || math.Abs(float64(got[4])-0.2) > 1e-6 || got[9] != 1 {
		t.Errorf("fine grid: %v", got)
	}
}

func TestGuidedNeedsColours(t *testing.T) {
	m := testManifest()
	c := NewCompound(m, testCalibration(t), PartCompound)
	enc, err := (&meanEncoder{}).Encode(t.Context(), noiseFrame(1, cells{}), 128, 64)
	if err != nil {
		t.Fatal(err)
	}
	enc.Guide = nil
	scores := make([]float32, enc.Width*enc.Height)
	if _, err := c.To(nil, scores, testOrder()[:1], enc); err == nil || !strings.Contains(err.Error(), "no colours") {
		t.Errorf("without colours: error %v, want one about the missing colours", err)
	}
	m.Compound.Upsample = models.UpsampleBilinear
	if _, err := NewCompound(m, testCalibration(t), PartCompound).To(nil, scores, testOrder()[:1], enc); err != nil {
		t.Errorf("bilinear without colours: %v", err)
	}
}

func BenchmarkGuided(b *testing.B) {
	const w, h = 128, 64
	f := noiseFrame(1, cells{})
	values, guide, g := make([]float32, w*h), GuideTo(nil, f.Pix, f.Width, f.Height, w, h), newGuided()
	for b.Loop() {
		g.filter(values, guide, w, h)
	}
}
