package eval_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
)

// Of two images, one perfect and one upside down, a draw of two is twice the first, twice the second or both: with
// probabilities ¼, ¼ and ½, so that the 5 % and 95 % quantiles are the metrics of the single images.
func TestSpreadOfTwoImages(t *testing.T) {
	good, bad := []float32{4, 3, 2, 1}, []float32{1, 2, 3, 4}
	labels := []uint8{1, 0, 0, 0}
	for _, pool := range []*eval.Pool{eval.NewPool(2), eval.NewBinnedPool(2)} {
		for i, scores := range [][]float32{good, bad} {
			if err := pool.Set(i, scores, labels, 1); err != nil {
				t.Fatal(err)
			}
		}
		s, err := pool.Spread(t.Context(), 400, 3, eval.FPRFirst)
		if err != nil {
			t.Fatal(err)
		}
		want := eval.Spread{N: 400, AP: [2]float64{0.25, 1}, FPR95: [2]float64{0, 1}}
		if *s != want {
			t.Errorf("Spread() = %+v, want %+v", *s, want)
		}
		if again, err := pool.Spread(t.Context(), 400, 3, eval.FPRFirst); err != nil || *again != *s {
			t.Errorf("the same seed gives %+v and %+v, %v", *s, *again, err)
		}
	}
}

// The AP of n images, each perfect with an anomaly or hopeless in a way that leaves the others alone, is the share k/n of
// perfect ones plus almost nothing: the draws are binomial.
func TestSpreadIsBinomial(t *testing.T) {
	const images, perfect, normal = 100, 60, 2000
	pool := eval.NewBinnedPool(images)
	for i := range images {
		scores, labels := make([]float32, normal+1), make([]uint8, normal+1)
		labels[0] = 1
		for k := range scores {
			scores[k] = 1
		}
		scores[0] = -1
		if i < perfect {
			scores[0] = 2
		}
		if err := pool.Set(i, scores, labels, 1); err != nil {
			t.Fatal(err)
		}
	}
	s, err := pool.Spread(t.Context(), 4000, 1, eval.FPRNearest)
	if err != nil {
		t.Fatal(err)
	}
	// 1.645 standard deviations of a binomial share around its mean; 4000 draws place the quantile within 0.005, and a share
	// of hundredths within another 0.005. The hopeless add (1 − share)·share of anomalous pixels < 0.0005.
	const p = float64(perfect) / images
	half := 1.645 * math.Sqrt(p*(1-p)/images)
	for i, want := range []float64{p - half, p + half} {
		if math.Abs(s.AP[i]-want) > 0.0105 {
			t.Errorf("quantile %d of AP is %.4f, want about %.4f", i, s.AP[i], want)
		}
	}
}

// A spread of scores that are not rounded brackets the exact metrics, and a set whose images are all alike has none.
func TestSpreadOfAlikeImages(t *testing.T) {
	scores, labels := make([]float32, 1000), make([]uint8, 1000)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range scores {
		labels[i] = uint8(r.IntN(2))
		scores[i] = float32(r.NormFloat64()) + float32(labels[i])
	}
	pool := eval.NewBinnedPool(7)
	for i := range 7 {
		if err := pool.Set(i, scores, labels, 1); err != nil {
			t.Fatal(err)
		}
	}
	m, err := pool.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	s, err := pool.Spread(t.Context(), 20, 1, eval.FPRNearest)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{s.AP[0] - m.AP, s.AP[1] - m.AP, s.FPR95[0] - m.FPR95, s.FPR95[1] - m.FPR95} {
		if math.Abs(v) > 1e-12 {
			t.Errorf("spread %+v of images that are alike, want AP %v and FPR95 %v", s, m.AP, m.FPR95)
		}
	}
	none := eval.NewBinnedPool(3)
	for i := range 3 {
		if err := none.Set(i, scores, make([]uint8, 1000), 1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := none.Spread(t.Context(), 5, 1, eval.FPRNearest); !errors.Is(err, eval.ErrNoPositive) {
		t.Errorf("no anomalous pixel: %v, want ErrNoPositive", err)
	}
}
