package method_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/method"
)

// rowOf returns the only row of a method.
func rowOf(t *testing.T, kit *method.Kit, name string) method.Row {
	t.Helper()
	rows, err := method.NewRows(kit, []string{name}, nil)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%s: %d rows, %v", name, len(rows), err)
	}
	return rows[0]
}

func score(t *testing.T, kit *method.Kit, name string, enc *detector.Encoding) *detector.Map {
	t.Helper()
	m, err := rowOf(t, kit, name).Score(t.Context(), &method.Encoded{Encoding: enc})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m
}

// factorial returns a reference of eight tokens with three uncorrelated channels of these deviations, and mean 0.
func factorial(deviations [3]float32) *method.Reference {
	ref := &method.Reference{Channels: 3, Mean: make([]float32, 3), Classes: make([]int, 8), Frames: 1}
	for i := range ref.Classes {
		for c, d := range deviations {
			if i>>c&1 == 0 {
				d = -d
			}
			ref.Tokens = append(ref.Tokens, d)
		}
	}
	return ref
}

// residual leaves out a component of more than twice the mean variance, and none where all are about equally strong, as
// after whitening.
func TestResidualLeavesOutStrongComponents(t *testing.T) {
	enc := &detector.Encoding{Width: 3, Height: 1, Channels: 3, Features: []float32{8, 0, 0, 0, 8, 0, 0, 0, 8}}
	for _, tt := range []struct {
		deviations [3]float32
		want       []float32
	}{
		{[3]float32{2, 2, 2}, []float32{16, 16, 16}},
		{[3]float32{2, 1, 1}, []float32{16, 64, 64}}, // a variance of exactly twice the mean
		{[3]float32{2.5, 1, 1}, []float32{0, 64, 64}},
	} {
		kit := &method.Kit{Reference: factorial(tt.deviations), Product: plainProduct{}, FeaturesOnly: true}
		for i, v := range score(t, kit, "residual", enc).Values {
			if math.Abs(float64(v-tt.want[i])) > 1e-3*float64(tt.want[i]) {
				t.Errorf("deviations %v: token %d = %v, want %v", tt.deviations, i, v, tt.want[i])
			}
		}
	}
}

// Without classes, neco is the share alone, on the grid of the features, and does not divide by 0 at the mean.
func TestNECOWithoutClasses(t *testing.T) {
	g := readMethodGoldens(t)
	kit := &method.Kit{Reference: g.sample(t, method.ReferenceTokens), Product: plainProduct{}, FeaturesOnly: true}
	enc := g.Image.encoding(len(g.Classes), g.Channels)
	enc.Classes, enc.Logits, enc.LSE = 0, nil, nil
	copy(enc.Features, kit.Reference.Mean)
	m := score(t, kit, "neco", enc)
	if m.Width != enc.Width || m.Height != enc.Height || m.Values[0] != 0 {
		t.Errorf("map of %d×%d, %v at the mean of normal footage; want 0 on %d×%d", m.Width, m.Height, m.Values[0], enc.Width, enc.Height)
	}
	for i, v := range m.Values[1:] {
		if !(v >= -1 && v < 0) {
			t.Errorf("token %d: %v, want the negative of a share", i+1, v)
		}
	}
	for _, name := range []string{"vim", "student-teacher"} {
		if _, err := method.NewRows(kit, []string{name}, nil); !errors.Is(err, method.ErrNeedsClasses) {
			t.Errorf("%s without classes: %v, want ErrNeedsClasses", name, err)
		}
	}
}

// Features that never vary are refused by name. Logits that never vary predict the mean, as a student without input does.
func TestNothingVaries(t *testing.T) {
	kit := &method.Kit{Reference: factorial([3]float32{}), Product: plainProduct{}}
	kit.Reference.Logits = make([]float32, 2*kit.Reference.Count())
	for _, name := range []string{"residual", "vim", "neco"} {
		if _, err := method.NewRows(kit, []string{name}, nil); !errors.Is(err, method.ErrReference) {
			t.Errorf("%s: %v, want ErrReference", name, err)
		}
	}
	ref := factorial([3]float32{1, 2, 4})
	ref.Logits = kit.Reference.Logits
	enc := &detector.Encoding{
		Width: 1, Height: 1, Channels: 3, Features: []float32{3, 2, 0}, LogitsWidth: 1, LogitsHeight: 1, Classes: 2, Logits: make([]float32, 2),
	}
	m := score(t, &method.Kit{Reference: ref, Product: plainProduct{}}, "student-teacher", enc)
	if want := (9.0 + 1 + 0) / 3; math.Abs(float64(m.Values[0])-want) > 1e-4 {
		t.Errorf("student-teacher = %v, want %v", m.Values[0], want)
	}
}

// The sampled logits belong to the sampled tokens, and the mean highest logit counts every cell of all frames.
func TestSamplerKeepsLogitsWithTheirTokens(t *testing.T) {
	g := readMethodGoldens(t)
	ref := g.sample(t, 50)
	classes := len(g.Classes)
	for i, want := range ref.Classes {
		row := ref.Logits[i*classes:][:classes]
		if got := slices.Index(row, slices.Max(row)); got != want {
			t.Errorf("token %d: logits %v are highest at %d, but its class is %d", i, row, got, want)
		}
	}
	sum, cells := 0.0, 0
	for _, e := range g.Reference {
		plane := len(e.Logits) / classes
		for i := range plane {
			sum += float64(max(e.Logits[i], e.Logits[plane+i], e.Logits[2*plane+i]))
		}
		cells += plane
	}
	if want := sum / float64(cells); math.Abs(ref.MaxLogit-want) > 1e-6 {
		t.Errorf("mean highest logit %v, want %v", ref.MaxLogit, want)
	}
}
