package method_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/method"
)

// plainProduct is a Multiplier in plain Go.
type plainProduct struct{}

func (plainProduct) MultiplyTo(dst, a, b []float32, m, n, k int) error {
	for i := range m {
		for j := range n {
			sum := 0.0
			for x := range k {
				sum += float64(a[i*k+x]) * float64(b[j*k+x])
			}
			dst[i*n+j] = float32(sum)
		}
	}
	return nil
}

// methodGoldens is the content of testdata/methods.json, which testdata/methods.py wrote.
type methodGoldens struct {
	Classes          []string
	Channels         int
	Reference        []goldenEncoding
	ReferenceClasses []int `json:"reference_classes"`
	Image            goldenEncoding
	Want             map[string][]float64
}

type goldenEncoding struct {
	Width, Height    int
	Features, Logits []float32
	ClassLogits      []float32 `json:"class_logits"`
	MaskLogits       []float32 `json:"mask_logits"`
}

// encoding returns the Encoding of a golden. The grid of the logits has twice the sides of the grid of the features.
func (g goldenEncoding) encoding(classes, channels int) *detector.Encoding {
	e := &detector.Encoding{
		Width: g.Width, Height: g.Height, Channels: channels, Features: g.Features,
		LogitsWidth: 2 * g.Width, LogitsHeight: 2 * g.Height, Classes: classes, Logits: g.Logits,
		Queries: len(g.ClassLogits) / (classes + 1), ClassLogits: g.ClassLogits,
		MaskWidth: g.Width, MaskHeight: g.Height, MaskLogits: g.MaskLogits,
	}
	plane := e.LogitsWidth * e.LogitsHeight
	for i := range plane {
		sum := 0.0
		for k := range classes {
			sum += math.Exp(float64(g.Logits[k*plane+i]))
		}
		e.LSE = append(e.LSE, float32(math.Log(sum)))
	}
	return e
}

func readMethodGoldens(t *testing.T) (g methodGoldens) {
	t.Helper()
	raw, err := os.ReadFile("testdata/methods.json")
	if err == nil {
		err = json.Unmarshal(raw, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g methodGoldens) sample(t *testing.T, limit int) *method.Reference {
	t.Helper()
	s := method.NewSampler(limit, 1)
	for _, e := range g.Reference {
		s.Add(e.encoding(len(g.Classes), g.Channels))
	}
	ref, err := s.Reference()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Every method that needs no denoiser agrees with NumPy and scikit-learn. The tolerance is 1e-5 of the largest value for
// methods that work cell by cell, and 1e-3 for those with a float32 covariance and a ridge of 1e-6.
func TestMethodsMatchScikitLearn(t *testing.T) {
	g := readMethodGoldens(t)
	kit := method.Kit{
		Classes: g.Classes, Reference: g.sample(t, method.ReferenceTokens), Masks: true, Product: plainProduct{}, Seed: 1,
		Surroundings: 56, LogitsStride: 8,
	}
	if !slices.Equal(kit.Reference.Classes, g.ReferenceClasses) {
		t.Errorf("classes of the reference are %v, want %v", kit.Reference.Classes, g.ReferenceClasses)
	}
	rows, err := method.NewRows(&kit, []string{method.All}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(g.Want) {
		t.Errorf("%d rows, want %d: the methods without a denoiser", len(rows), len(g.Want))
	}
	x := &method.Encoded{Encoding: g.Image.encoding(len(g.Classes), g.Channels)}
	for _, row := range rows {
		want := g.Want[row.Method]
		for range 2 { // the second call reuses buffers
			m, err := row.Score(t.Context(), x)
			if err != nil {
				t.Fatalf("%s: %v", row.Method, err)
			}
			if len(m.Values) != len(want) || m.Width*m.Height != len(want) {
				t.Fatalf("%s: map of %d×%d with %d values, want %d", row.Method, m.Width, m.Height, len(m.Values), len(want))
			}
			largest := 0.0
			for _, w := range want {
				largest = max(largest, math.Abs(w))
			}
			tolerance := 1e-5 * largest
			if slices.Contains([]string{"gmm", "mahalanobis", "residual"}, row.Method) {
				tolerance = 1e-3 * largest
			}
			for i, w := range want {
				if math.Abs(float64(m.Values[i])-w) > tolerance {
					t.Fatalf("%s: cell %d = %v, want %v", row.Method, i, m.Values[i], w)
				}
			}
		}
	}
}

// A sample that is smaller than the footage has the requested size, is the same for the same seed, and consists of tokens
// of the footage.
func TestSamplerKeepsABoundedSample(t *testing.T) {
	g := readMethodGoldens(t)
	const limit = 50
	ref, again := g.sample(t, limit), g.sample(t, limit)
	if ref.Count() != limit || len(ref.Tokens) != limit*g.Channels || len(ref.Logits) != limit*len(g.Classes) ||
		ref.Frames != len(g.Reference) {
		t.Fatalf("%d tokens, %d values, %d logits of %d frames", ref.Count(), len(ref.Tokens), len(ref.Logits), ref.Frames)
	}
	if !slices.Equal(ref.Tokens, again.Tokens) {
		t.Error("the same seed gave another sample")
	}
	late := 0 // number of tokens of the second frame
	for i := range limit {
		for j := range len(g.Reference[1].Features) / g.Channels {
			same := true
			for c := range g.Channels {
				diff := ref.Tokens[i*g.Channels+c] + ref.Mean[c] - g.Reference[1].Features[j*g.Channels+c]
				same = same && math.Abs(float64(diff)) < 1e-5
			}
			if same {
				late++
				break
			}
		}
	}
	if late < limit/4 || late > 3*limit/4 { // expect half; a quarter more or less is four standard deviations
		t.Errorf("%d of %d tokens come from the second of two equal frames", late, limit)
	}
	if _, err := method.NewSampler(limit, 1).Reference(); !errors.Is(err, method.ErrReference) {
		t.Errorf("no footage: %v, want ErrReference", err)
	}
}

// The search is exact with several tiles, with ties, and in a set smaller than the number of neighbours.
func TestNeighboursAreExact(t *testing.T) {
	const c = 3
	vectors := func(n, salt int) []float32 {
		rows := make([]float32, n*c)
		for i := range rows {
			rows[i] = float32((i*7919+salt)%1009) / 64
		}
		return rows
	}
	for _, n := range []int{1, 2, 3, 1500} {
		set, queries := vectors(n, 1), vectors(600, 5)
		got := make([]float32, len(queries)/c)
		if err := method.NewNeighbours(set, c, plainProduct{}).DistancesTo(got, queries, false); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			var all []float64
			for j := range n {
				sum := 0.0
				for k := range c {
					d := float64(queries[i*c+k] - set[j*c+k])
					sum += d * d
				}
				all = append(all, math.Sqrt(sum))
			}
			slices.Sort(all)
			near, want := all[:min(3, n)], 0.0
			for _, d := range near {
				want += d / float64(len(near))
			}
			if math.Abs(float64(got[i])-want) > 1e-4 {
				t.Fatalf("%d vectors, query %d: %v, want %v", n, i, got[i], want)
			}
		}
	}
}

func TestNewRowsReportsWhatIsMissing(t *testing.T) {
	for name, want := range map[string]error{
		"dood": method.ErrNeedsDenoiser, "recon-mse": method.ErrNeedsDenoiser, "knn": method.ErrNeedsReference,
		"m2a": method.ErrNeedsMasks, "unclaimed": method.ErrNeedsHeads, "magic": method.ErrUnknown,
	} {
		if _, err := method.NewRows(&method.Kit{}, []string{"lse", name}, []int{1}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	rows, err := method.NewRows(&method.Kit{}, []string{method.All}, []int{1})
	if err != nil || len(rows) != 5 {
		t.Errorf("all with only an encoder: %d rows, %v; want the five methods of logits", len(rows), err)
	}
	kit := &method.Kit{
		Order:    []int{3, 1},
		Detector: func(string, int) (*detector.Detector, error) { return nil, nil },
	}
	for _, n := range []int{0, -1, 3} {
		if _, err := method.NewRows(kit, []string{"dood"}, []int{n}); !errors.Is(err, detector.ErrSetting) {
			t.Errorf("|T| = %d: %v, want ErrSetting", n, err)
		}
	}
}

// stepScorer scores token i at timestep t with 10·t + i.
type stepScorer struct{}

func (stepScorer) ScoreTo(dst, _ []float32, n int, timesteps []int) error {
	for k, t := range timesteps {
		for i := range n {
			dst[k*n+i] = float32(10*t + i)
		}
	}
	return nil
}

func (stepScorer) Close() error { return nil }

// A denoising method adds up the errors of the first |T| timesteps of the bundle's order.
func TestDenoisingErrorsAddUp(t *testing.T) {
	kit := &method.Kit{
		Order:     []int{4, 1, 7},
		Detector:  func(string, int) (*detector.Detector, error) { return nil, errors.New("not wanted") },
		Denoising: func(string) (detector.Scorer, error) { return stepScorer{}, nil },
	}
	rows, err := method.NewRows(kit, []string{"eps-mse", "recon-mse"}, []int{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	x := &method.Encoded{Encoding: &detector.Encoding{Width: 2, Height: 1}}
	for i, want := range [][]float32{{40, 41}, {50, 52}, {40, 41}, {50, 52}} {
		m, err := rows[i].Score(t.Context(), x)
		if err != nil || !slices.Equal(m.Values, want) {
			t.Errorf("%s, |T|=%d: %v, %v; want %v", rows[i].Method, rows[i].Timesteps, m, err, want)
		}
	}
}
