package nets_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// Training and scoring arrange a window differently and fold different operations into constants. With the same window,
// noise and weights, both must compute the same mean squared error of the noise.
func TestWindowScoresWhatItTrains(t *testing.T) {
	cfg := models.DenoiserConfig{
		Channels: 6, Width: 8, Groups: 2, Blocks: [3]int{2, 1, 2}, InputProjection: true, Window: 8,
	}
	weights := randomWeights(cfg.Defaults(), 3)
	flat, err := nets.FlattenDenoiser(cfg, weights)
	if err != nil {
		t.Fatal(err)
	}
	n, c, size := int64(cfg.Tokens()), int64(cfg.Channels), int64(len(flat))
	for i := range cfg.Channels { // scoring normalises; training takes normalised features
		weights[nets.NormShift].Data[i], weights[nets.NormScale].Data[i] = 0, 1
	}
	rnd := rand.New(rand.NewPCG(4, 4))
	x0 := normal(rnd, int(n*c))
	steps := []int64{3, 99, 400}
	eps := normal(rnd, len(steps)*int(n*c))

	model, err := nets.ScoringGraph(cfg, weights, nets.ScoringOptions{Score: models.ScoreMSE, Timesteps: []int{3, 99, 400}})
	scores := ort.Data[float32](eval(t, open(t, model, err), map[string]*ort.Tensor{
		"features": tensor(t, x0, n, c), "noise": tensor(t, eps, int64(len(steps)), n, c),
		"timesteps": tensor(t, steps, int64(len(steps))),
	})["scores"])

	model, err = nets.TrainingGraph(cfg, nets.TrainingOptions{Rows: int(n), Timesteps: 1})
	training := open(t, model, err)
	for i, step := range steps {
		loss := ort.Data[float32](eval(t, training, map[string]*ort.Tensor{
			"params": tensor(t, flat, size), "m": tensor(t, make([]float32, size), size),
			"v": tensor(t, make([]float32, size), size), "x0": tensor(t, x0, n, c),
			"eps": tensor(t, eps[i*int(n*c):][:n*c], n, c), "t": tensor(t, []int64{step}, 1),
			"hyper": tensor(t, []float32{1, 1, 1, math.MaxFloat32}, 4),
		})["loss"])[0]
		mean := 0.0
		for _, s := range scores[i*int(n):][:n] {
			mean += float64(s) / float64(n)
		}
		if math.Abs(mean-float64(loss)) > 1e-4*float64(loss) {
			t.Errorf("t=%d: scored %g, trained %g", step, mean, loss)
		}
	}
}
