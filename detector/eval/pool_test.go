package eval_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// golden.json holds the results of scikit-learn; testdata/golden.py wrote it.
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
			n := len(labels) / c.Images
			// The scores differ by more than one part in 2048, so rounding changes nothing.
			for kind, pool := range map[string]*eval.Pool{"exact": eval.NewPool(c.Images), "binned": eval.NewBinnedPool(c.Images)} {
				for i := range c.Images {
					if err := pool.Set(i, c.Scores[i*n:(i+1)*n], labels[i*n:(i+1)*n], 1); err != nil {
						t.Fatal(err)
					}
				}
				got, err := pool.Metrics()
				if err != nil {
					t.Fatal(err)
				}
				for name, pair := range map[string][2]float64{
					"AP": {got.AP, c.AP}, "AUROC": {got.AUROC, c.AUROC},
					"FPR95": {got.FPR95, c.FPR95}, "FPR95First": {got.FPR95First, c.FPR95First},
				} {
					if math.Abs(pair[0]-pair[1]) > 1e-12 { // sums of at most 1000 terms in float64
						t.Errorf("%s: %s = %.15f, want %.15f", kind, name, pair[0], pair[1])
					}
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
	if err := pool.Add([]float32{0, float32(math.NaN())}, []uint8{0, dataset.Ignore}, 1); err != nil {
		t.Errorf("a NaN outside the valid pixels: %v", err)
	}
	if _, err := pool.Metrics(); !errors.Is(err, eval.ErrNoPositive) {
		t.Errorf("Metrics() = %v, want ErrNoPositive", err)
	}
	if err := pool.Add([]float32{0}, []uint8{0, 1}, 1); err == nil {
		t.Error("lengths that do not match: no error")
	}
	var positives eval.Pool
	if err := positives.Add([]float32{1}, []uint8{1}, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := positives.Metrics(); !errors.Is(err, eval.ErrNoNegative) {
		t.Errorf("Metrics() = %v, want ErrNoNegative", err)
	}
}

// The metrics do not depend on how pixels are split into images.
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
		t.Errorf("split into images %+v, whole %+v", cut, whole)
	}
}

// noisy returns an image of n pixels of which one in twenty is anomalous and scores higher by shift standard deviations.
func noisy(seed uint64, n int, shift float64) (scores []float32, labels []uint8) {
	r := rand.New(rand.NewPCG(seed, 2))
	scores, labels = make([]float32, n), make([]uint8, n)
	for i := range scores {
		if r.IntN(20) == 0 {
			labels[i] = 1
		}
		scores[i] = float32(r.NormFloat64() + shift*float64(labels[i]))
	}
	return scores, labels
}

// Rounding a quarter of a million different scores of a continuous distribution to 20 bits hardly changes the metrics.
func TestBinnedIsNearExact(t *testing.T) {
	for _, shift := range []float64{0, 1, 3, 100} {
		exact, binned := eval.NewPool(4), eval.NewBinnedPool(4)
		for i := range 4 {
			scores, labels := noisy(uint64(i), 1<<16, shift)
			for _, p := range []*eval.Pool{exact, binned} {
				if err := p.Set(i, scores, labels, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		want, err := exact.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		got, err := binned.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		if exact.Binned() || !binned.Binned() {
			t.Error("Binned() is wrong")
		}
		for name, d := range map[string]float64{
			"AP": got.AP - want.AP, "AUROC": got.AUROC - want.AUROC, "FPR95": got.FPR95 - want.FPR95,
			"FPR95First": got.FPR95First - want.FPR95First, "F1": got.F1 - want.F1,
		} {
			if math.Abs(d) > 1e-4 {
				t.Errorf("shift %v: %s differs by %v from exact", shift, name, d)
			}
		}
	}
}

// The metrics of more pixels than are sorted at a time, many of them equal, do not depend on the ranges.
func TestPoolOfManyPixels(t *testing.T) {
	const n = 1 << 20
	scores, labels := noisy(5, n, 1)
	for i := range scores {
		if i%3 == 0 {
			scores[i] = float32(i%9) / 8
		}
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	positives := 0
	for _, l := range labels {
		positives += int(l)
	}
	var ap, auroc float64
	for i, tp, fp := 0, 0, 0; i < n; { // one tie at a time
		j, hits := i, 0
		for ; j < n && scores[order[j]] == scores[order[i]]; j++ {
			hits += int(labels[order[j]])
		}
		misses := j - i - hits
		auroc += float64(misses) * (float64(tp) + float64(hits)/2)
		tp, fp = tp+hits, fp+misses
		ap += float64(hits) * float64(tp) / float64(tp+fp)
		i = j
	}
	pool := eval.NewPool(3)
	for i, from := range []int{0, n / 5, n / 2} {
		to := []int{n / 5, n / 2, n}[i]
		if err := pool.Set(i, scores[from:to], labels[from:to], 1); err != nil {
			t.Fatal(err)
		}
	}
	m, err := pool.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	wantAP, wantAUROC := ap/float64(positives), auroc/float64(positives)/float64(n-positives)
	if math.Abs(m.AP-wantAP) > 1e-9 || math.Abs(m.AUROC-wantAUROC) > 1e-9 { // a million terms in float64
		t.Errorf("AP %.12f and AUROC %.12f, want %.12f and %.12f", m.AP, m.AUROC, wantAP, wantAUROC)
	}
}

func TestCurvesAndHistogram(t *testing.T) {
	for _, pool := range []*eval.Pool{eval.NewPool(2), eval.NewBinnedPool(2)} {
		for i := range 2 {
			scores, labels := noisy(uint64(i), 1<<14, 2)
			if err := pool.Set(i, scores, labels, 1); err != nil {
				t.Fatal(err)
			}
		}
		m, c, err := pool.Curves()
		if err != nil {
			t.Fatal(err)
		}
		if first, last := c.ROC[0], c.ROC[len(c.ROC)-1]; first != (eval.Point{}) || last != (eval.Point{X: 1, Y: 1}) {
			t.Errorf("ROC runs from %v to %v", first, last)
		}
		if last := c.PR[len(c.PR)-1]; last.X != 1 {
			t.Errorf("PR ends at recall %v", last.X)
		}
		area, ap := 0.0, 0.0
		for i := 1; i < len(c.ROC); i++ {
			area += (c.ROC[i].X - c.ROC[i-1].X) * (c.ROC[i].Y + c.ROC[i-1].Y) / 2
		}
		recall := 0.0
		for _, p := range c.PR {
			ap += (p.X - recall) * p.Y
			recall = p.X
		}
		if math.Abs(area-m.AUROC) > 2e-3 || math.Abs(ap-m.AP) > 5e-3 { // thinning to 1/500
			t.Errorf("areas under the curves %v and %v, metrics %v and %v", area, ap, m.AUROC, m.AP)
		}
		if len(c.ROC) > 1200 || len(c.PR) > 1200 {
			t.Errorf("%d and %d points are too many for a figure", len(c.ROC), len(c.PR))
		}
		h := pool.Histogram(c.Low, c.High, 40)
		for name, bins := range map[string][]float64{"anomalous": h.Anomalous, "ordinary": h.Ordinary} {
			sum, mean := 0.0, 0.0
			for i, v := range bins {
				sum += v
				mean += v * (float64(c.Low) + float64(c.High-c.Low)*(float64(i)+0.5)/40)
			}
			want := map[string]float64{"anomalous": 2, "ordinary": 0}[name]
			if math.Abs(sum-1) > 1e-9 || math.Abs(mean-want) > 0.1 { // of at least 1600 pixels
				t.Errorf("%s: sums to %v, mean %v, want 1 and about %v", name, sum, mean, want)
			}
		}
	}
}

func BenchmarkPool(b *testing.B) {
	const n = 1024 * 512
	scores, labels := noisy(1, n, 1)
	for kind, open := range map[string]func(int) *eval.Pool{"exact": eval.NewPool, "binned": eval.NewBinnedPool} {
		b.Run("mode="+kind, func(b *testing.B) {
			b.SetBytes(8 * n * 4)
			for b.Loop() {
				pool := open(8)
				for i := range 8 {
					if err := pool.Set(i, scores, labels, 1); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := pool.Metrics(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
