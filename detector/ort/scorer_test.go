package ort

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// denoiser returns random weights for a network. The real initial weights would predict 0.
func denoiser(cfg models.DenoiserConfig, seed uint64) checkpoint.Tensors {
	r := rand.New(rand.NewPCG(seed, 1))
	ts := nets.InitDenoiser(cfg, seed)
	for _, p := range nets.DenoiserParams(cfg) {
		t := ts[p.Name]
		for i := range t.Data {
			t.Data[i] += float32(0.2 * r.NormFloat64())
		}
	}
	shift, scale := make([]float32, cfg.Channels), make([]float32, cfg.Channels)
	for i := range shift {
		shift[i], scale[i] = float32(r.NormFloat64()), float32(0.5+r.Float64())
	}
	ts["normalization.shift"] = &checkpoint.Tensor{Name: "normalization.shift", Shape: []int{cfg.Channels}, Data: shift}
	ts["normalization.scale"] = &checkpoint.Tensor{Name: "normalization.scale", Shape: []int{cfg.Channels}, Data: scale}
	return ts
}

func randomFeatures(n, c int) []float32 {
	r := rand.New(rand.NewPCG(7, 7))
	x := make([]float32, n*c)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

func scorer(t testing.TB, cfg ScorerConfig, opts Options) *Scorer {
	t.Helper()
	s, err := NewScorer(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reference scores features with the plain Go implementation.
func reference(t *testing.T, cfg ScorerConfig, features []float32, n int, timesteps []int) []float32 {
	t.Helper()
	c := cfg.Denoiser.Channels
	d, x := plainDenoiser(cfg, features)
	score := diffusion.NegCosine
	if cfg.Score == models.ScoreMSE {
		score = diffusion.MSE
	}
	schedule := diffusion.NewSchedule()
	var out []float32
	for _, step := range timesteps {
		eps := diffusion.Noise{Seed: cfg.Seed}.FillTo(make([]float32, n*c), step, 0, c)
		e, err := d.Score(schedule, x, eps, step, cfg.Noise == models.NoiseAntithetic, score)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e...)
	}
	return out
}

// The graph and the plain Go implementation must agree for every |T| and every form of the network. The tolerance is 1e-4:
// scores lie in -1 … 1, and both sides work in float32 and sum in different orders.
func TestScorerMatchesReference(t *testing.T) {
	open(t)
	const n = 13
	for _, tt := range []struct {
		name string
		cfg  models.DenoiserConfig
	}{
		{"6-0-6 scalar", models.DenoiserConfig{Channels: 16, Width: 16, Groups: 4, Blocks: [3]int{6, 0, 6}, Time: "scalar"}},
		{"6-3-6 sinusoidal", models.DenoiserConfig{
			Channels: 16, Width: 16, Groups: 4, Blocks: [3]int{6, 3, 6}, Time: "sinusoidal",
		}},
		{"8-4-8 scalar", models.DenoiserConfig{Channels: 16, Width: 16, Groups: 2, Blocks: [3]int{8, 4, 8}, Time: "scalar"}},
		{"3-1-3 projection", models.DenoiserConfig{
			Channels: 10, Width: 24, Groups: 8, Blocks: [3]int{3, 1, 3}, Time: "sinusoidal", InputProjection: true,
		}},
	} {
		for _, noise := range []string{models.NoiseIndependent, models.NoiseAntithetic} {
			for _, score := range []string{models.ScoreCosine, models.ScoreMSE} {
				t.Run(tt.name+" "+noise+" "+score, func(t *testing.T) {
					cfg := ScorerConfig{
						Denoiser: tt.cfg, Weights: denoiser(tt.cfg, 3), Noise: noise, Score: score, Seed: 11, Rows: 40,
					}
					matchReference(t, cfg, n)
				})
			}
		}
	}
}

func matchReference(t *testing.T, cfg ScorerConfig, n int) {
	t.Helper()
	order := diffusion.Spread(4, 900, 25)
	cfg.Timesteps = order
	s := scorer(t, cfg, Options{Threads: 2})
	x := randomFeatures(n, cfg.Denoiser.Channels)
	want := reference(t, cfg, x, n, order)
	for k := 1; k <= len(order); k++ {
		got := make([]float32, n*k)
		if err := s.ScoreTo(got, x, n, order[:k]); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if d := math.Abs(float64(v - want[i])); !(d <= 1e-4*(1+math.Abs(float64(want[i])))) {
				t.Fatalf("|T|=%d: score %d = %v, want %v", k, i, v, want[i])
			}
		}
	}
}

func TestScorerIsDeterministic(t *testing.T) {
	open(t)
	const n = 301
	net := models.DenoiserConfig{Channels: 32, Width: 32, Groups: 8, Blocks: [3]int{2, 1, 2}, Time: "sinusoidal"}
	cfg := ScorerConfig{
		Denoiser: net, Weights: denoiser(net, 3), Noise: models.NoiseAntithetic, Score: models.ScoreCosine, Seed: 5,
	}
	x, steps := randomFeatures(n, 32), []int{200, 100, 300}
	var first []float32
	for _, tt := range []struct{ rows, threads int }{{1024, 1}, {1024, 1}, {64, 2}, {999, 3}, {1 << 17, 1}} {
		cfg.Rows = tt.rows
		s := scorer(t, cfg, Options{Threads: tt.threads})
		got := make([]float32, n*len(steps))
		for range 3 { // with other grids in between: their cached noise must not be mixed up
			if err := s.ScoreTo(make([]float32, 7), x[:7*32], 7, steps[:1]); err != nil {
				t.Fatal(err)
			}
			if err := s.ScoreTo(got, x, n, steps); err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = slices.Clone(got)
			}
			for i := range got {
				// Matrix products may group rows differently in tiles of another size: a few units in the last place.
				if math.Abs(float64(got[i]-first[i])) > 2e-6 {
					t.Fatalf("rows=%d threads=%d: score %d = %v, first run %v", tt.rows, tt.threads, i, got[i], first[i])
				}
			}
			if tt.rows == 1024 && !slices.Equal(got, first) {
				t.Error("two runs with the same settings differ")
			}
		}
	}
	cfg.Seed = 6
	other := make([]float32, n*len(steps))
	if err := scorer(t, cfg, Options{Threads: 1}).ScoreTo(other, x, n, steps); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(other, first) {
		t.Error("another seed gives the same scores")
	}
}

func TestScorerMistakes(t *testing.T) {
	open(t)
	net := models.DenoiserConfig{Channels: 8, Width: 8, Groups: 2, Blocks: [3]int{1, 0, 1}, Time: "scalar"}
	cfg := ScorerConfig{Denoiser: net, Weights: denoiser(net, 1), Noise: "independent", Score: "cosine", Timesteps: []int{5, 6}}
	s := scorer(t, cfg, Options{Threads: 1})
	dst, x := make([]float32, 4), make([]float32, 16)
	for name, err := range map[string]error{
		"short dst":         s.ScoreTo(dst[:3], x, 2, []int{5, 6}),
		"short features":    s.ScoreTo(dst, x[:15], 2, []int{5, 6}),
		"no timestep":       s.ScoreTo(nil, x, 2, nil),
		"no token":          s.ScoreTo(nil, nil, 0, []int{5}),
		"unlisted timestep": s.ScoreTo(dst, x, 2, []int{5, 7}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := s.ScoreTo(dst, x, 2, []int{5, 6}); err != nil {
		t.Errorf("after the mistakes: %v", err)
	}
	cfg.Weights = checkpoint.Tensors{}
	if s, err := NewScorer(cfg, Options{}); err == nil {
		_ = s.Close()
		t.Error("a denoiser without weights is accepted")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close() = %v", err)
	}
}

func BenchmarkScorer(b *testing.B) {
	r, err := Open("")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, tt := range []struct{ c, w, n int }{{160, 160, 2048}, {160, 160, 512}, {128, 128, 512}, {64, 64, 2048}} {
		net := models.DenoiserConfig{
			Channels: tt.c, Width: tt.w, Groups: 8, Blocks: [3]int{3, 1, 3}, Time: "sinusoidal", InputProjection: tt.c != tt.w,
		}
		cfg := ScorerConfig{Denoiser: net, Weights: denoiser(net, 1), Noise: "antithetic", Score: "cosine"}
		cfg.Timesteps = diffusion.Spread(100, 330, 25)
		for _, rows := range []int{256, 512, 1024, 2048, 4096} {
			cfg.Rows = rows
			s := scorer(b, cfg, Options{})
			x := randomFeatures(tt.n, tt.c)
			for _, k := range []int{1, 5, 25} {
				b.Run(fmt.Sprintf("channels=%d/tokens=%d/rows=%d/timesteps=%d", tt.c, tt.n, rows, k), func(b *testing.B) {
					dst := make([]float32, k*tt.n)
					b.ReportAllocs()
					before := cpuTime(b)
					for b.Loop() {
						if err := s.ScoreTo(dst, x, tt.n, cfg.Timesteps[:k]); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
				})
			}
		}
	}
}

// cpuTime returns the processor time of this process, which is steadier than the clock on a busy machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Omitted tokens cost nothing and do not change the scores of the others.
func TestScoreAllToLeavesTokensOut(t *testing.T) {
	open(t)
	const n = 50
	net := models.DenoiserConfig{Channels: 16, Width: 16, Groups: 4, Blocks: [3]int{1, 0, 1}, Time: "sinusoidal"}
	s := scorer(t, ScorerConfig{
		Denoiser: net, Weights: denoiser(net, 3), Noise: models.NoiseAntithetic, Score: models.ScoreCosine, Seed: 11, Rows: 40,
	}, Options{Threads: 2})
	features, timesteps := randomFeatures(n, 16), []int{40, 200, 7}
	all := make([]float32, n*len(timesteps))
	if err := s.ScoreTo(all, features, n, timesteps); err != nil {
		t.Fatal(err)
	}
	tokens := []int{0, 3, 4, 17, 30, 31, 49}
	before := s.Scored()
	some := make([]float32, len(tokens)*len(timesteps))
	for range 2 { // with a new plan, and with the cached one
		if err := s.ScoreAllTo([][]float32{some}, [][]float32{features}, tokens, timesteps); err != nil {
			t.Fatal(err)
		}
		for k := range timesteps {
			for i, token := range tokens {
				// Rows are in other tiles, so float32 sums may differ in the last digits.
				if got, want := some[k*len(tokens)+i], all[k*n+token]; math.Abs(float64(got-want)) > 1e-5 {
					t.Errorf("token %d at timestep %d scores %v, but %v among all tokens", token, timesteps[k], got, want)
				}
			}
		}
	}
	if got := s.Scored() - before; got != uint64(2*len(some)) {
		t.Errorf("%d rows were scored, want %d", got, 2*len(some))
	}
	for _, bad := range [][]int{{}, {3, 1}, {-1, 2}, {4, n}} {
		room := [][]float32{make([]float32, len(bad)*len(timesteps))}
		if err := s.ScoreAllTo(room, [][]float32{features}, bad, timesteps); err == nil {
			t.Errorf("tokens %v were accepted", bad)
		}
	}
}
