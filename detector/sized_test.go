package detector

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// sizedGolden is testdata/sized.json, which testdata/sized.py computes.
type sizedGolden struct {
	Width, Height, Cell, Surroundings int
	UnclaimedWeight                   float64 `json:"unclaimed_weight"`
	LSEWeight                         float64 `json:"lse_weight"`
	Large, Crowded                    float64
	Scales                            map[string][2]float64
	Diffusion, Unclaimed, LSE         []float32
	Colours, Want                     []float32
	Voices                            []Voice
}

func readSized(t *testing.T) (sizedGolden, *sized, *Encoding) {
	t.Helper()
	raw, err := os.ReadFile("testdata/sized.json")
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		sizedGolden
		Voices []int
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	for _, v := range g.Voices {
		g.sizedGolden.Voices = append(g.sizedGolden.Voices, Voice(v))
	}
	spread := func(name string) Spread { return Spread{g.Scales[name][0], g.Scales[name][1]} }
	s := &sized{
		radius: g.Surroundings / g.Cell / 2, guided: newGuided(),
		rules: models.Compound{
			Rule: models.RuleSized, LSEWeight: g.LSEWeight, UnclaimedWeight: g.UnclaimedWeight, Surroundings: g.Surroundings,
			Large: g.Large, Crowded: g.Crowded, Upsample: models.UpsampleGuided,
		},
		scale: Voices{Diffusion: []Spread{spread("diffusion")}, Unclaimed: spread("unclaimed"), Contrast: spread("contrast")},
	}
	enc := &Encoding{
		LogitsWidth: g.Width, LogitsHeight: g.Height, Unclaimed: g.Unclaimed, LSE: g.LSE, Guide: g.Colours,
	}
	return g.sizedGolden, s, enc
}

func TestSizedMatchesReference(t *testing.T) {
	g, s, enc := readSized(t)
	got := append([]float32(nil), g.Diffusion...)
	for range 2 { // buffers are used again
		copy(got, g.Diffusion)
		if err := s.join(got, 1, enc, true); err != nil {
			t.Fatal(err)
		}
	}
	other := 0
	for i, want := range g.Want {
		// The table of colour weights has steps of 1 %.
		if d := math.Abs(float64(got[i] - want)); d > 0.01*(1+math.Abs(float64(want))) {
			t.Fatalf("cell %d = %v, want %v", i, got[i], want)
		}
		if s.voices[i] != g.Voices[i] {
			other++
		}
	}
	if other > 0 {
		t.Errorf("%d of %d cells have another voice", other, len(g.Want))
	}
}

// Without companions the rule still tells large from small things: D is smoothed where it is large.
func TestSizedDiffusionAlone(t *testing.T) {
	g, s, enc := readSized(t)
	alone := &Encoding{LogitsWidth: g.Width, LogitsHeight: g.Height, Guide: g.Colours}
	a, b := append([]float32(nil), g.Diffusion...), append([]float32(nil), g.Diffusion...)
	if err := s.join(a, 3, alone, true); err != nil {
		t.Fatal(err)
	}
	for i, v := range s.voices {
		if v != VoiceDiffusion {
			t.Fatalf("cell %d has voice %v", i, v)
		}
	}
	if err := s.join(b, 1, enc, false); err != nil {
		t.Fatal(err)
	}
	small := 9*g.Width + 19 // the centre of the small thing
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("cell %d: %v without companions, %v for the diffusion score alone", i, a[i], b[i])
		}
	}
	if raw := s.scale.Diffusion[0].apply(g.Diffusion[small]); a[small] < 0.8*raw {
		t.Errorf("the small thing has %v, %v before smoothing", a[small], raw)
	}
	if err := s.join(a, 1, &Encoding{LogitsWidth: g.Width, LogitsHeight: g.Height}, true); err == nil {
		t.Error("join() without colours succeeds")
	}
}

func TestMirror(t *testing.T) {
	for i, want := range map[int]int{-4: 2, -3: 2, -2: 1, -1: 0, 0: 0, 2: 2, 3: 2, 5: 0, 6: 0, 7: 1} {
		if got := mirror(i, 3); got != want {
			t.Errorf("mirror(%d, 3) = %d, want %d", i, got, want)
		}
	}
}

// A square that is larger than the map must not read beyond its buffers, and a constant map is its own mean.
func TestBoxLargerThanMap(t *testing.T) {
	s := sized{radius: 10}
	src := []float32{3, 3, 3, 3, 3, 3}
	for _, v := range s.boxTo(nil, src, 3, 2) {
		if math.Abs(float64(v)-3) > 1e-6 {
			t.Fatalf("mean of a constant map = %v", v)
		}
	}
}

func TestSpread(t *testing.T) {
	got := newSpread([]float32{9, 1, 2, 3, 100, 4, 5})
	if got.Median != 4 || math.Abs(got.Deviation-2*madScale) > 1e-6 {
		t.Errorf("newSpread() = %+v", got)
	}
	if got := newSpread(nil); got != (Spread{}) {
		t.Errorf("newSpread(nil) = %+v", got)
	}
	constant := Voices{Diffusion: []Spread{newSpread([]float32{1, 2, 3})}, Unclaimed: newSpread([]float32{7, 7, 7})}
	if err := constant.Validate(); err == nil {
		t.Error("a voice that never varies is accepted")
	}
}

// The tangent keeps the order of the scores and grows without bound where the cosine saturates.
func TestTangent(t *testing.T) {
	sums := []float32{-5, -4.5, -2.5, 0, 3}
	tangentTo(sums, []float64{1, 1, 1, 1, 1})
	for i, want := range []float64{0, math.Sqrt(1/0.81 - 1), math.Sqrt(3), math.Sqrt(399), math.Sqrt(399)} {
		if math.Abs(float64(sums[i])-want) > 1e-4 {
			t.Errorf("tangent %d = %v, want %v", i, sums[i], want)
		}
	}
}

// BenchmarkSized is the rule on the grid of 1024×512 pixels, every cell next to others of its colour.
func BenchmarkSized(b *testing.B) {
	const w, h = 128, 64
	enc := &Encoding{
		LogitsWidth: w, LogitsHeight: h, Unclaimed: make([]float32, w*h), LSE: make([]float32, w*h), Guide: make([]float32, 3*w*h),
	}
	one := Spread{Deviation: 1}
	s := &sized{
		rules: models.SizedCompound(), radius: 10, guided: newGuided(),
		scale: Voices{Diffusion: []Spread{one}, Unclaimed: one, Contrast: one},
	}
	scores := make([]float32, w*h)
	for b.Loop() {
		if err := s.join(scores, 1, enc, true); err != nil {
			b.Fatal(err)
		}
	}
}
