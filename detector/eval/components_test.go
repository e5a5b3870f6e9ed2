package eval_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// components.json holds the results of numpy and scipy by the definition; testdata/components.py wrote it.
func TestComponentsMatchDefinition(t *testing.T) {
	raw, err := os.ReadFile("testdata/components.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name         string
		MinPredicted int `json:"min_predicted"`
		MinTruth     int `json:"min_truth"`
		Threshold    float32
		BestF1       float64 `json:"best_f1"`
		Images       []struct {
			Width, Height int
			Scores        []float32
			Labels        []int
		}
		Truth, Predicted int
		SIoU, PPV, F1    float64
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			var pool eval.Pool
			labels := make([][]uint8, len(c.Images))
			for i, im := range c.Images {
				for _, l := range im.Labels {
					labels[i] = append(labels[i], uint8(l))
				}
				if err := pool.Add(im.Scores, labels[i], 1); err != nil {
					t.Fatal(err)
				}
			}
			m, err := pool.Metrics()
			if err != nil {
				t.Fatal(err)
			}
			if m.Threshold != c.Threshold || math.Abs(m.F1-c.BestF1) > 1e-12 {
				t.Errorf("best F1 %.15f at %v, want %.15f at %v", m.F1, m.Threshold, c.BestF1, c.Threshold)
			}
			sizes := eval.ComponentSizes{Predicted: c.MinPredicted, Truth: c.MinTruth}
			counter := eval.NewComponentCounter(len(c.Images), m.Threshold, sizes)
			for i, im := range c.Images {
				if err := counter.Set(i, im.Scores, labels[i], 1, im.Width, im.Height); err != nil {
					t.Fatal(err)
				}
			}
			got := counter.Result()
			if got.Truth != c.Truth || got.Predicted != c.Predicted {
				t.Errorf("%d true and %d predicted components, want %d and %d", got.Truth, got.Predicted, c.Truth, c.Predicted)
			}
			for name, pair := range map[string][2]float64{
				"sIoU": {got.SIoU, c.SIoU}, "PPV": {got.PPV, c.PPV}, "F1": {got.F1, c.F1},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-12 { // means of at most a hundred float64
					t.Errorf("%s = %.15f, want %.15f", name, pair[0], pair[1])
				}
			}
		})
	}
}

func TestComponentsRefuse(t *testing.T) {
	c := eval.NewComponentCounter(1, 0, eval.ComponentSizes{})
	if err := c.Set(0, make([]float32, 4), make([]uint8, 4), 1, 3, 1); err == nil {
		t.Error("sizes that do not match: no error")
	}
	nan := []float32{0, float32(math.NaN())}
	if err := c.Set(0, nan, []uint8{0, 1}, 1, 2, 1); !errors.Is(err, eval.ErrNotFinite) {
		t.Errorf("NaN: %v, want ErrNotFinite", err)
	}
	if err := c.Set(0, nan, []uint8{1, dataset.Ignore}, 1, 2, 1); err != nil {
		t.Errorf("NaN outside the valid pixels: %v", err)
	}
	if got := eval.NewComponentCounter(0, 0, eval.ComponentSizes{}).Result(); got.F1 != 0 || got.SIoU != 0 || got.PPV != 0 {
		t.Errorf("no image: %+v", got)
	}
}

func BenchmarkComponents(b *testing.B) {
	const w, h = 2048, 1024
	r := rand.New(rand.NewPCG(3, 4))
	scores, labels := make([]float32, w*h), make([]uint8, w*h)
	for i := range scores { // blocks of 32×32, a fifth of them bright, under noise
		block := uint64(i/w/32*64 + i%w/32)
		if block*2654435761%5 == 0 {
			scores[i], labels[i] = 1, uint8(block%2)
		}
		scores[i] += float32(r.NormFloat64()) * 0.2
	}
	c := eval.NewComponentCounter(1, 0.5, eval.ComponentSizes{Predicted: 500, Truth: 100})
	b.SetBytes(4 * w * h)
	for b.Loop() {
		if err := c.Set(0, scores, labels, 1, w, h); err != nil {
			b.Fatal(err)
		}
	}
}
