package eval_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
)

// golden.json holds what scikit-learn computes; testdata/golden.py made it.
func TestMetricsMatchScikitLearn(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name       string
		Images     int
		Scores     []float32
		Labels     []int
		AP, AUROC  float64
		FPR95      float64
		FPR95First float64 `json:"fpr95_first"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			labels := make([]uint8, len(c.Labels))
			for i, l := range c.Labels {
				labels[i] = uint8(l)
			}
			var pool eval.Pool
			n := len(labels) / c.Images
			for i := range c.Images {
				if err := pool.Add(c.Scores[i*n:(i+1)*n], labels[i*n:(i+1)*n], 1); err != nil {
					t.Fatal(err)
				}
			}
			got, err := pool.Metrics()
			if err != nil {
				t.Fatal(err)
			}
			want := eval.Metrics{AP: c.AP, AUROC: c.AUROC, FPR95: c.FPR95, FPR95First: c.FPR95First}
			for name, pair := range map[string][2]float64{
				"AP": {got.AP, want.AP}, "AUROC": {got.AUROC, want.AUROC},
				"FPR95": {got.FPR95, want.FPR95}, "FPR95First": {got.FPR95First, want.FPR95First},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-12 { // sums of at most 1000 terms in float64
					t.Errorf("%s = %.15f, want %.15f", name, pair[0], pair[1])
				}
			}
		})
	}
}

func TestPoolRefuses(t *testing.T) {
	var pool eval.Pool
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if err := pool.Add([]float32{0, float32(bad)}, []uint8{0, 1}, 1); !errors.Is(err, eval.ErrNotFinite) {
			t.Errorf("Add(%v) = %v, want ErrNotFinite", bad, err)
		}
	}
	if err := pool.Add([]float32{0, float32(math.NaN())}, []uint8{0, eval.Ignore}, 1); err != nil {
		t.Errorf("a NaN outside the valid pixels: %v", err)
	}
	if _, err := pool.Metrics(); !errors.Is(err, eval.ErrNoPositive) {
		t.Errorf("Metrics() = %v, want ErrNoPositive", err)
	}
	if err := pool.Add([]float32{0}, []uint8{0, 1}, 1); err == nil {
		t.Error("lengths that differ: no error")
	}
	var positives eval.Pool
	if err := positives.Add([]float32{1}, []uint8{1}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := positives.Metrics(); !errors.Is(err, eval.ErrNoNegative) {
		t.Errorf("Metrics() = %v, want ErrNoNegative", err)
	}
}

// The order of the images and the way pixels are split over them must not matter.
func TestPoolIsOrderFree(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 5000
	scores, labels := make([]float32, n), make([]uint8, n)
	for i := range scores {
		labels[i] = uint8(r.IntN(2))
		scores[i] = float32(r.NormFloat64()) + float32(labels[i])
	}
	metrics := func(cuts ...int) eval.Metrics {
		var pool eval.Pool
		from := 0
		for _, to := range append(cuts, n) {
			if err := pool.Add(scores[from:to], labels[from:to], 1); err != nil {
				t.Fatal(err)
			}
			from = to
		}
		m, err := pool.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if whole, cut := metrics(), metrics(1, 17, 2500, 4999); whole != cut {
		t.Errorf("cut into images %+v, whole %+v", cut, whole)
	}
}

func BenchmarkPool(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	const n = 1024 * 512
	scores, labels := make([]float32, n), make([]uint8, n)
	for i := range scores {
		if r.IntN(20) == 0 {
			labels[i] = 1
		}
		scores[i] = float32(r.NormFloat64())
	}
	b.SetBytes(8 * n * 4)
	for b.Loop() {
		var pool eval.Pool
		for range 8 {
			if err := pool.Add(scores, labels, 1); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := pool.Metrics(); err != nil {
			b.Fatal(err)
		}
	}
}
