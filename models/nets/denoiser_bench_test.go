package nets_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// flops counts the multiplications and additions of the matrix products for one row, without the time layers.
func flops(cfg models.DenoiserConfig) float64 {
	cfg = cfg.Defaults()
	w := float64(cfg.Width)
	f := w * float64(cfg.Channels)
	if cfg.InputProjection {
		f *= 2
	}
	f += w * w * float64(2*(cfg.Blocks[0]+cfg.Blocks[1])+5*cfg.Blocks[2])
	return 2 * f
}

type benchNet struct {
	name string
	cfg  models.DenoiserConfig
}

func benchNets() []benchNet {
	short, long := [3]int{2, 0, 2}, [3]int{3, 1, 3}
	return []benchNet{
		{"C=96/W=96/groups=1/blocks=2-0-2", models.DenoiserConfig{Channels: 96, Groups: 1, Blocks: short}},
		{"C=96/W=96/groups=8/blocks=2-0-2", models.DenoiserConfig{Channels: 96, Groups: 8, Blocks: short}},
		{"C=160/W=128/groups=1/blocks=3-1-3", models.DenoiserConfig{
			Channels: 160, Width: 128, Groups: 1, Blocks: long, InputProjection: true,
		}},
		{"C=160/W=128/groups=8/blocks=3-1-3", models.DenoiserConfig{
			Channels: 160, Width: 128, Groups: 8, Blocks: long, InputProjection: true,
		}},
		{"C=768/W=768/groups=32/blocks=6-3-6", models.DenoiserConfig{Channels: 768, Blocks: [3]int{6, 3, 6}}},
	}
}

// BenchmarkScoring measures one session with one thread; rows are evaluations of the network (tokens × timesteps × 2).
func BenchmarkScoring(b *testing.B) {
	for _, n := range benchNets() {
		for _, rows := range []int{128, 256, 512, 1024, 2048} {
			b.Run(fmt.Sprintf("%s/rows=%d", n.name, rows), func(b *testing.B) { benchScoring(b, n.cfg, rows, 5) })
		}
	}
}

func benchScoring(b *testing.B, cfg models.DenoiserConfig, rows, k int) {
	timesteps := []int64{99, 149, 199, 249, 299}[:k]
	var listed []int
	for _, t := range timesteps {
		listed = append(listed, int(t))
	}
	model, err := nets.ScoringGraph(cfg, randomWeights(cfg, 1),
		nets.ScoringOptions{Noise: models.NoiseAntithetic, Timesteps: listed})
	s := open(b, model, err)
	rnd := rand.New(rand.NewPCG(2, 2))
	n := int64(rows / 2 / k)
	c := int64(cfg.Channels)
	in := []*ort.Tensor{
		tensor(b, normal(rnd, int(n*c)), n, c), tensor(b, normal(rnd, int(n*c)), 1, n, c),
		tensor(b, timesteps, int64(k)),
	}
	out := []*ort.Tensor{tensor(b, make([]float32, n*int64(k)), int64(k), n)}
	perRun := float64(n) * 2 * float64(k)
	for b.Loop() {
		if err := s.Run(in, out); err != nil {
			b.Fatal(err)
		}
	}
	sec := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(perRun/sec, "rows/s")
	b.ReportMetric(perRun*flops(cfg)/sec/1e9, "GFLOP/s")
}

// BenchmarkGemmChain measures the ceiling: the matrix products of the network and nothing else.
func BenchmarkGemmChain(b *testing.B) {
	for _, w := range []int64{96, 128, 768} {
		for _, rows := range []int64{128, 256, 512, 1024, 2048, 4096} {
			b.Run(fmt.Sprintf("W=%d/rows=%d", w, rows), func(b *testing.B) {
				const layers = 23
				g := graph.New(graph.Float32)
				x := g.Input("x", graph.Float32, -1, w)
				rnd := rand.New(rand.NewPCG(2, 2))
				for range layers {
					x = g.Linear(x, g.Const(normal(rnd, int(w*w)), w, w), g.Const(normal(rnd, int(w))))
				}
				g.Output(x, "y")
				model, err := g.Marshal()
				s := open(b, model, err)
				in := []*ort.Tensor{tensor(b, make([]float32, rows*w), rows, w)}
				out := []*ort.Tensor{tensor(b, make([]float32, rows*w), rows, w)}
				for b.Loop() {
					if err := s.Run(in, out); err != nil {
						b.Fatal(err)
					}
				}
				sec := b.Elapsed().Seconds() / float64(b.N)
				b.ReportMetric(float64(rows*w*w*2*layers)/sec/1e9, "GFLOP/s")
			})
		}
	}
}
