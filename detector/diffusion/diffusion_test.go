package diffusion

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// The wanted values are those of the reference implementation, with timesteps from 0.
func TestSchedule(t *testing.T) {
	s := NewSchedule()
	for _, tt := range []struct {
		t                 int
		ab, signal, noise float64
	}{
		{0, 0.9999000000, 0.99995000, 0.01000000},
		{1, 0.9997800921, 0.99989004, 0.01482929},
		{4, 0.9993009943, 0.99965044, 0.02643872},
		{24, 0.9915581629, 0.99577014, 0.09187947},
		{99, 0.8970181457, 0.94711042, 0.32090786},
		{499, 0.0785872429, 0.28033416, 0.95990247},
		{999, 0.0000403583, 0.00635282, 0.99997982},
	} {
		a, b := s.Coefficients(tt.t)
		// As a float32, 1-ᾱ has an absolute error of 6e-8, which the root increases to 3e-6 at t = 0.
		if d := math.Abs(float64(s.AlphaBar(tt.t)) - tt.ab); d > 1e-7 {
			t.Errorf("ᾱ(%d) = %v, want %v", tt.t, s.AlphaBar(tt.t), tt.ab)
		}
		if math.Abs(float64(a)-tt.signal) > 1e-7 || math.Abs(float64(b)-tt.noise) > 4e-6 {
			t.Errorf("coefficients(%d) = %v, %v, want %v, %v", tt.t, a, b, tt.signal, tt.noise)
		}
	}
}

func TestNoiseTo(t *testing.T) {
	s := NewSchedule()
	x := []float32{1, -2, 0}
	got := s.NoiseTo(x, x, []float32{0, 1, -1}, 99) // dst may be x
	want := []float64{0.94711042, -2*0.94711042 + 0.32090786, -0.32090786}
	for i := range want {
		if math.Abs(float64(got[i])-want[i]) > 1e-6 {
			t.Errorf("NoiseTo()[%d] = %v, want %v", i, got[i], want[i])
		}
	}
}

func TestUsefulRange(t *testing.T) {
	s := NewSchedule()
	for _, tt := range []struct {
		std float64
		lo  [2]int // where the first and the last useful step must lie
		hi  [2]int
	}{
		// Measured on EfficientViT features: deviation 1 works best at 99 … 299, deviations of 0.11 to 0.15 at 14 … 49.
		{1, [2]int{90, 120}, [2]int{299, 360}},
		{0.13, [2]int{5, 14}, [2]int{49, 70}},
	} {
		lo, hi := s.UsefulRange(tt.std)
		if lo < tt.lo[0] || lo > tt.lo[1] || hi < tt.hi[0] || hi > tt.hi[1] {
			t.Errorf("UsefulRange(%v) = %d, %d, want in %v, %v", tt.std, lo, hi, tt.lo, tt.hi)
		}
		if w := s.RatioWarning(Spread(lo, hi, 5), tt.std); w != "" {
			t.Errorf("RatioWarning() inside = %q", w)
		}
	}
	if w := s.RatioWarning(Paper(25), 1); w == "" {
		t.Error("no warning for the paper's timesteps on features of deviation 1")
	}
}

func TestSpreadIsNested(t *testing.T) {
	order := Spread(100, 340, 25)
	if err := ValidateTimesteps(order); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= len(order); n++ {
		first := slices.Clone(order[:n])
		slices.Sort(first)
		gap := max(first[0]-100, 340-first[n-1])
		for i := 1; i < n; i++ {
			gap = max(gap, first[i]-first[i-1])
		}
		// No gap may be more than twice that of n evenly spaced timesteps, plus the rounding of the grid.
		if limit := 2*240/n + 10; gap > limit {
			t.Errorf("the first %d of the order leave a gap of %d timesteps, want at most %d: %v", n, gap, limit, first)
		}
	}
	for n := 1; n < 25; n++ {
		if err := ValidateTimesteps(Spread(7, 31, n)); err != nil {
			t.Errorf("Spread(7, 31, %d): %v", n, err)
		}
	}
	if got := Paper(3); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("Paper(3) = %v", got)
	}
}

func TestValidateTimesteps(t *testing.T) {
	for _, tt := range []struct {
		list []int
		want string
	}{
		{nil, "timesteps: got none, want at least one of 0..999"},
		{[]int{1, 1000}, "timesteps: got 1000, want 0..999"},
		{[]int{4, 5, 4}, "timesteps: 4 is named twice"},
	} {
		if err := ValidateTimesteps(tt.list); err == nil || err.Error() != tt.want {
			t.Errorf("ValidateTimesteps(%v) = %v, want %q", tt.list, err, tt.want)
		}
	}
}

func TestNoiseDoesNotDependOnTiling(t *testing.T) {
	const tokens, channels = 37, 5
	n := Noise{Seed: 3}
	whole := n.FillTo(make([]float32, tokens*channels), 123, 0, channels)
	for first := 0; first < tokens; first += 7 {
		rows := min(7, tokens-first)
		tile := n.FillTo(make([]float32, rows*channels), 123, first, channels)
		if !slices.Equal(tile, whole[first*channels:][:rows*channels]) {
			t.Errorf("the tile at token %d differs from the whole", first)
		}
	}
	if slices.Equal(n.FillTo(make([]float32, 64), 1, 0, 64), n.FillTo(make([]float32, 64), 2, 0, 64)) {
		t.Error("two timesteps share their noise")
	}
	if slices.Equal(n.FillTo(make([]float32, 64), 1, 0, 64), n.FillTo(make([]float32, 64), 1, 1, 64)) {
		t.Error("two tokens share their noise")
	}
	if slices.Equal(n.FillTo(make([]float32, 64), 1, 0, 64), Noise{Seed: 4}.FillTo(make([]float32, 64), 1, 0, 64)) {
		t.Error("two seeds share their noise")
	}
}

func TestNoiseIsNormal(t *testing.T) {
	const tokens, channels = 4000, 16
	x := Noise{Seed: 1}.FillTo(make([]float32, tokens*channels), 200, 0, channels)
	var m1, m2, m4, lag float64
	for i, v := range x {
		f := float64(v)
		m1, m2, m4 = m1+f, m2+f*f, m4+f*f*f*f
		if i >= channels { // the same channel of the previous token: neighbouring streams must be independent
			lag += f * float64(x[i-channels])
		}
	}
	n := float64(len(x))
	// Four standard errors of 64,000 samples.
	for _, c := range []struct {
		name             string
		got, want, limit float64
	}{
		{"mean", m1 / n, 0, 4 / math.Sqrt(n)},
		{"second moment", m2 / n, 1, 4 * math.Sqrt(2/n)},
		{"fourth moment", m4 / n, 3, 4 * math.Sqrt(96/n)},
		{"correlation of neighbours", lag / n, 0, 4 / math.Sqrt(n)},
	} {
		if math.Abs(c.got-c.want) > c.limit {
			t.Errorf("%s = %v, want %v ± %v", c.name, c.got, c.want, c.limit)
		}
	}
}

func TestScores(t *testing.T) {
	eps := []float32{1, -2, 2}
	for _, tt := range []struct {
		pred     []float32
		cos, mse float64
	}{
		{[]float32{1, -2, 2}, -1, 0},
		{[]float32{-1, 2, -2}, 1, 12},
		{[]float32{2, 2, 1}, 0, (1.0 + 16 + 1) / 3},
		{[]float32{0, 0, 0}, 0, 3}, // an untrained network: not NaN
	} {
		if got := NegCosine(eps, tt.pred); math.Abs(float64(got)-tt.cos) > 1e-6 {
			t.Errorf("NegCosine(%v) = %v, want %v", tt.pred, got, tt.cos)
		}
		if got := MSE(eps, tt.pred); math.Abs(float64(got)-tt.mse) > 1e-6 {
			t.Errorf("MSE(%v) = %v, want %v", tt.pred, got, tt.mse)
		}
	}
}

func TestAggregate(t *testing.T) {
	s := NewSchedule()
	e := []float32{1, 2, 10, 20} // two timesteps, two tokens
	w, err := s.Weights(models.AggregateSum, []int{0, 24})
	if err != nil {
		t.Fatal(err)
	}
	if got := AggregateTo(make([]float32, 2), e, w); got[0] != 11 || got[1] != 22 {
		t.Errorf("sum = %v, want [11 22]", got)
	}
	w, err = s.Weights(models.AggregateSqrtOneMinusAlphaBar, Paper(25))
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, v := range w {
		total += v
	}
	if math.Abs(total-1.31915) > 1e-4 { // the sum of Eq. 8's weights over the paper's timesteps
		t.Errorf("weights of Eq. 8 add up to %v, want 1.31915", total)
	}
	if _, err := s.Weights("median", Paper(1)); err == nil {
		t.Error("Weights() accepts an unknown rule")
	}
}

type goldenCase struct {
	Channels, Width, Groups, Weights int
	Blocks                           [3]int
	Time                             string
	Out                              map[string][]float64
}

// The golden values come from testdata/golden.py, an independently written PyTorch denoiser.
func TestDenoiserMatchesPyTorch(t *testing.T) {
	raw, err := os.ReadFile("testdata/denoiser.golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for _, tt := range cases {
		t.Run(fmt.Sprintf("channels=%d/width=%d/%v/%s", tt.Channels, tt.Width, tt.Blocks, tt.Time), func(t *testing.T) {
			d := &Denoiser{
				Channels: tt.Channels, Width: tt.Width, Groups: tt.Groups, Blocks: tt.Blocks, Time: tt.Time,
				InputProjection: tt.Channels != tt.Width, Params: map[string][]float32{},
			}
			if got := fillParams(t, d); got != tt.Weights {
				t.Fatalf("the network has %d weights, want %d", got, tt.Weights)
			}
			x := make([]float32, 2*tt.Channels)
			for i := range x {
				x[i] = float32(math.Cos(0.9 * float64(i)))
			}
			for step, want := range tt.Out {
				var at int
				if _, err := fmt.Sscan(step, &at); err != nil {
					t.Fatal(err)
				}
				got, err := d.Predict(x, at)
				if err != nil {
					t.Fatal(err)
				}
				for i, w := range want {
					// The scalar embedding passes t, up to 999, through float32 rows: a relative error of 1e-4.
					if math.Abs(float64(got[i])-w) > 2e-4*(1+math.Abs(w)) {
						t.Fatalf("t=%d: prediction %d = %v, want %v", at, i, got[i], w)
					}
				}
			}
		})
	}
}

// fillParams gives d the weights of testdata/golden.py and returns their number. It takes the names from the errors of
// Predict, until no weight is missing.
func fillParams(t *testing.T, d *Denoiser) (total int) {
	t.Helper()
	for range 1000 {
		_, err := d.Predict(make([]float32, d.Channels), 1)
		if err == nil {
			break
		}
		var name string
		var got, size int
		if _, e := fmt.Sscanf(err.Error(), "diffusion: weight %q: got %d values, want %d", &name, &got, &size); e != nil {
			t.Fatal(err)
		}
		d.Params[name] = formulaWeights(name, size)
		total += size
	}
	return total
}

// formulaWeights returns the weights that testdata/golden.py computes for a name.
func formulaWeights(name string, size int) []float32 {
	phase := 0
	for _, b := range []byte(name) {
		phase += int(b)
	}
	scale := 0.3
	if strings.HasSuffix(name, "_layers.0.weight") {
		scale = 1
	}
	v := make([]float32, size)
	for i := range v {
		v[i] = float32(scale * math.Sin(1.7*float64(i)+0.01*float64(phase)))
	}
	return v
}

func TestAntitheticIsTheMeanOfThePair(t *testing.T) {
	d := &Denoiser{Channels: 4, Width: 4, Groups: 2, Blocks: [3]int{1, 0, 1}, Time: models.TimeScalar, Params: map[string][]float32{}}
	fillParams(t, d)
	s := NewSchedule()
	x, eps := []float32{1, 0, -1, 2}, []float32{0.5, -1, 0.3, 0.9}
	minus := []float32{-0.5, 1, -0.3, -0.9}
	score := func(e []float32, pair bool) float32 {
		t.Helper()
		v, err := d.Score(s, x, e, 200, pair, NegCosine)
		if err != nil {
			t.Fatal(err)
		}
		return v[0]
	}
	if got, want := score(eps, true), (score(eps, false)+score(minus, false))/2; math.Abs(float64(got-want)) > 1e-6 {
		t.Errorf("antithetic score = %v, want %v", got, want)
	}
}
