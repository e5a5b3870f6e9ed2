package nets_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

func TestDenoiserParams(t *testing.T) {
	sin, scalar := models.TimeSinusoidal, models.TimeScalar
	tests := []struct {
		name            string
		cfg             models.DenoiserConfig
		params, tensors int
	}{
		{"A768", models.DenoiserConfig{Channels: 768, Blocks: [3]int{6, 3, 6}, Time: sin}, 39_026_688, 170},
		{"A1024", models.DenoiserConfig{Channels: 1024, Blocks: [3]int{6, 3, 6}}, 69_337_088, 170},
		{"B768", models.DenoiserConfig{Channels: 768, Blocks: [3]int{8, 4, 8}, Time: scalar}, 39_042_048, 182},
		{"B1024", models.DenoiserConfig{Channels: 1024, Blocks: [3]int{8, 4, 8}, Time: scalar}, 69_357_568, 182},
		{"P768", models.DenoiserConfig{Channels: 768, Blocks: [3]int{6, 3, 6}, Time: scalar}, 29_577_216, 138},
		{"P1024", models.DenoiserConfig{Channels: 1024, Blocks: [3]int{6, 3, 6}, Time: scalar}, 52_543_488, 138},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := nets.DenoiserSize(tt.cfg); got != tt.params {
				t.Errorf("%d parameters, want %d", got, tt.params)
			}
			if got := len(nets.DenoiserParams(tt.cfg)); got != tt.tensors {
				t.Errorf("%d tensors, want %d", got, tt.tensors)
			}
		})
	}
}

// The names are those of the published checkpoints, in the order in which PyTorch lists them.
func TestDenoiserNames(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 64, Blocks: [3]int{1, 1, 1}}
	var got []string
	for _, p := range nets.DenoiserParams(cfg) {
		got = append(got, p.Name)
	}
	var want []string
	both := func(names ...string) {
		for _, n := range names {
			want = append(want, "denoiser."+n+".weight", "denoiser."+n+".bias")
		}
	}
	both("time_embed.0", "time_embed.2")
	for _, part := range []string{"input_blocks.0.0", "middle_blocks.0.0", "output_blocks.0.0"} {
		both(part+".in_layers.0", part+".in_layers.2", part+".emb_layers.1", part+".out_layers.0", part+".out_layers.3")
	}
	both("output_blocks.0.0.skip_connection", "out.0", "out.2")
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	cfg.Time = models.TimeScalar
	for _, p := range nets.DenoiserParams(cfg) {
		if strings.Contains(p.Name, "emb_layers") || p.Name == "denoiser.time_embed.2.weight" {
			t.Errorf("a network with scalar time has %s", p.Name)
		}
	}
}

// Equal seeds give equal weights, different seeds give different ones, and adding a layer changes no other layer.
func TestDenoiserInit(t *testing.T) {
	small := models.DenoiserConfig{Channels: 64, Blocks: [3]int{1, 0, 1}}
	large := models.DenoiserConfig{Channels: 64, Blocks: [3]int{1, 1, 1}}
	a, b, c := nets.InitDenoiser(small, 1), nets.InitDenoiser(large, 1), nets.InitDenoiser(small, 2)
	const name = "denoiser.output_blocks.0.0.skip_connection.weight"
	if !slices.Equal(a[name].Data, b[name].Data) {
		t.Error("a middle block changes the initial weights of an output block")
	}
	if slices.Equal(a[name].Data, c[name].Data) {
		t.Error("two seeds give the same weights")
	}
	var sum float64
	for _, v := range a[name].Data {
		sum += float64(v) * float64(v)
	}
	// The variance of the uniform distribution in ±1/sqrt(128).
	if got, want := sum/float64(a[name].Len()), 1.0/128/3; math.Abs(got-want) > 0.1*want {
		t.Errorf("variance %g, want %g", got, want)
	}
	for _, zero := range []string{"out.2.weight", "out.2.bias", "input_blocks.0.0.out_layers.3.weight"} {
		zero = "denoiser." + zero
		if slices.Max(a[zero].Data) != 0 || slices.Min(a[zero].Data) != 0 {
			t.Errorf("%s does not start at zero", zero)
		}
	}
}

// variants returns a small denoiser of every kind.
func variants() map[string]models.DenoiserConfig {
	sin, scalar := models.TimeSinusoidal, models.TimeScalar
	return map[string]models.DenoiserConfig{
		"6-0-6":           {Channels: 32, Groups: 8, Blocks: [3]int{6, 0, 6}, Time: sin},
		"6-3-6":           {Channels: 64, Groups: 8, Blocks: [3]int{6, 3, 6}, Time: sin},
		"6-3-6 scalar":    {Channels: 32, Groups: 4, Blocks: [3]int{6, 3, 6}, Time: scalar},
		"8-4-8 scalar":    {Channels: 64, Groups: 2, Blocks: [3]int{8, 4, 8}, Time: scalar},
		"8-4-8":           {Channels: 48, Groups: 1, Blocks: [3]int{8, 4, 8}, Time: sin},
		"in_proj narrow":  {Channels: 40, Width: 32, Groups: 8, Blocks: [3]int{3, 1, 3}, InputProjection: true},
		"in_proj wide":    {Channels: 20, Width: 128, Groups: 4, Blocks: [3]int{1, 0, 1}, InputProjection: true},
		"in_proj equal":   {Channels: 32, Groups: 32, Blocks: [3]int{2, 1, 2}, InputProjection: true, Time: scalar},
		"odd number of g": {Channels: 36, Groups: 3, Blocks: [3]int{2, 1, 2}},
	}
}

// randomWeights returns weights without a zero layer, so that every parameter counts.
func randomWeights(cfg models.DenoiserConfig, seed uint64) checkpoint.Tensors {
	rnd := rand.New(rand.NewPCG(seed, 1))
	ts := nets.InitDenoiser(cfg, seed)
	for _, p := range nets.DenoiserParams(cfg) {
		d := ts[p.Name].Data
		for i := range d {
			switch {
			case p.Init == nets.InitOne:
				d[i] = 1 + 0.3*float32(rnd.NormFloat64())
			case p.FanIn == 0:
				d[i] = 0.2 * float32(rnd.NormFloat64())
			default:
				d[i] = float32(rnd.NormFloat64() / math.Sqrt(float64(p.FanIn)))
			}
		}
		if p.Name == "denoiser.time_embed.0.weight" && cfg.Time == models.TimeScalar {
			for i := range d {
				d[i] *= 0.01 // t itself is up to 999
			}
		}
	}
	for _, name := range []string{"normalization.shift", "normalization.scale"} {
		ts[name] = &checkpoint.Tensor{Name: name, Shape: []int{cfg.Channels}, Data: normal(rnd, cfg.Channels)}
	}
	for i, v := range ts["normalization.scale"].Data {
		ts["normalization.scale"].Data[i] = 1 + v*v
	}
	return ts
}

func normal(rnd *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rnd.NormFloat64())
	}
	return x
}

// scores runs a scoring model on tokens [n,C] with noise [k,n,C].
func scores(t testing.TB, s *ort.Session, c int, features, noise []float32, timesteps []int64) []float32 {
	t.Helper()
	n := len(features) / c
	out := eval(t, s, map[string]*ort.Tensor{
		"features":  tensor(t, features, int64(n), int64(c)),
		"noise":     tensor(t, noise, int64(len(noise)/len(features)), int64(n), int64(c)),
		"timesteps": tensor(t, timesteps, int64(len(timesteps))),
	})["scores"]
	if got := out.Shape(); got[0] != int64(len(timesteps)) || got[1] != int64(n) {
		t.Fatalf("scores have shape %v, want [%d %d]", got, len(timesteps), n)
	}
	return ort.Data[float32](out)
}

// Every variant agrees with a plain double-precision computation of the same formulas.
func TestScoringGraphAgainstReference(t *testing.T) {
	for name, cfg := range variants() {
		for _, opt := range []nets.ScoringOptions{
			{},
			{Noise: models.NoiseAntithetic},
			{Noise: models.NoiseAntithetic, Score: models.ScoreMSE},
			{Score: models.ScoreMSE, Timesteps: []int{999, 0, 24, 99}},
		} {
			t.Run(name+"/"+opt.Noise+opt.Score, func(t *testing.T) {
				w := randomWeights(cfg, 3)
				rnd := rand.New(rand.NewPCG(4, 4))
				timesteps := []int64{24, 0, 999, 99}
				const n = 5
				features, noise := normal(rnd, n*cfg.Channels), normal(rnd, len(timesteps)*n*cfg.Channels)
				model, err := nets.ScoringGraph(cfg, w, opt)
				got := scores(t, open(t, model, err), cfg.Channels, features, noise, timesteps)
				want := refScores(cfg.Defaults(), w, opt, features, noise, timesteps)
				for i := range want {
					// Deep stacks of float32 layers differ from double precision by a few 1e-6.
					if d := math.Abs(float64(got[i]) - want[i]); !(d < 5e-5*max(1, math.Abs(want[i]))) {
						t.Fatalf("score %d = %g, want %g", i, got[i], want[i])
					}
				}
			})
		}
	}
}

// Scores do not depend on how tokens and timesteps are spread over runs.
func TestScoringGraphTiling(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 160, Width: 128, Groups: 32, Blocks: [3]int{3, 1, 3}, InputProjection: true}
	model, err := nets.ScoringGraph(cfg, randomWeights(cfg, 1), nets.ScoringOptions{Noise: models.NoiseAntithetic})
	s := open(t, model, err)
	rnd := rand.New(rand.NewPCG(2, 2))
	const n = 37
	c := cfg.Channels
	timesteps := []int64{99, 149, 199, 249, 299}
	features, noise := normal(rnd, n*c), normal(rnd, n*c)
	whole := scores(t, s, c, features, noise, timesteps)
	for _, tile := range []int{1, 2, 5, 16, 36} {
		for k := 1; k <= len(timesteps); k += 2 {
			for from := 0; from < n; from += tile {
				to := min(from+tile, n)
				part := scores(t, s, c, features[from*c:to*c], noise[from*c:to*c], timesteps[:k])
				for i, v := range part {
					at := i/(to-from)*n + from + i%(to-from)
					if d := math.Abs(float64(v - whole[at])); !(d < 1e-6) {
						t.Fatalf("tile %d, %d timesteps: score %d = %g, but %g in one run", tile, k, at, v, whole[at])
					}
				}
			}
		}
	}
}

// One noise for all timesteps is the same as that noise repeated.
func TestScoringGraphSharedNoise(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 32, Groups: 4, Blocks: [3]int{1, 0, 1}}
	model, err := nets.ScoringGraph(cfg, randomWeights(cfg, 1), nets.ScoringOptions{})
	s := open(t, model, err)
	rnd := rand.New(rand.NewPCG(2, 2))
	features, noise := normal(rnd, 32*7), normal(rnd, 32*7)
	a := append([]float32(nil), scores(t, s, 32, features, noise, []int64{5, 50})...)
	b := scores(t, s, 32, features, append(append([]float32(nil), noise...), noise...), []int64{5, 50})
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("score %d: %g with shared noise, %g with repeated noise", i, a[i], b[i])
		}
	}
}

// An untrained network predicts zero. Its score is 0, never NaN.
func TestScoringGraphUntrained(t *testing.T) {
	for name, cfg := range variants() {
		t.Run(name, func(t *testing.T) {
			w := randomWeights(cfg, 1)
			for k, v := range nets.InitDenoiser(cfg, 9) {
				w[k] = v
			}
			model, err := nets.ScoringGraph(cfg, w, nets.ScoringOptions{Noise: models.NoiseAntithetic})
			rnd := rand.New(rand.NewPCG(2, 2))
			features, noise := normal(rnd, 3*cfg.Channels), normal(rnd, 3*cfg.Channels)
			got := scores(t, open(t, model, err), cfg.Channels, features, noise, []int64{0, 24})
			for i, v := range got {
				if v != 0 {
					t.Errorf("score %d = %g, want 0", i, v)
				}
			}
		})
	}
}

func TestScoringGraphUnlistedTimestep(t *testing.T) {
	cfg := models.DenoiserConfig{Channels: 32, Groups: 4, Blocks: [3]int{1, 0, 1}}
	model, err := nets.ScoringGraph(cfg, randomWeights(cfg, 1), nets.ScoringOptions{Timesteps: []int{3, 7}})
	s := open(t, model, err)
	out, err := s.Eval(map[string]*ort.Tensor{
		"features":  tensor(t, make([]float32, 32), 1, 32),
		"noise":     tensor(t, make([]float32, 32), 1, 1, 32),
		"timesteps": tensor(t, []int64{4}, 1),
	})
	if err == nil {
		t.Errorf("timestep 4 of a model for 3 and 7 gave %v", ort.Data[float32](out["scores"]))
	}
}

func TestScoringGraphRefuses(t *testing.T) {
	type config = models.DenoiserConfig
	type options = nets.ScoringOptions
	type weights = checkpoint.Tensors
	tests := []struct {
		name string
		edit func(*config, weights, *options)
		want string
	}{
		{
			"width", func(c *config, _ weights, _ *options) { c.Width = 64 },
			"denoiser.input_projection: got false, want true, as the width 64 is not the 32 channels",
		},
		{
			"groups", func(c *config, _ weights, _ *options) { c.Groups = 5 },
			"denoiser.groups: got 5, want a divisor of the width 32",
		},
		{
			"blocks", func(c *config, _ weights, _ *options) { c.Blocks[2] = 2 },
			"denoiser.blocks: got [1 0 2], want [n m n] with n from 1 to 64 and m from 0 to 64",
		},
		{
			"time", func(c *config, _ weights, _ *options) { c.Time = "clock" },
			`denoiser.time_embedding: got "clock", want sinusoidal or scalar`,
		},
		{
			"missing", func(_ *config, w weights, _ *options) { delete(w, "normalization.scale") },
			`denoiser weights: checkpoint: no tensor "normalization.scale"`,
		},
		{
			"shape", func(_ *config, w weights, _ *options) { w["denoiser.out.2.bias"].Shape = []int{31} },
			`denoiser weights: checkpoint: tensor "denoiser.out.2.bias" has shape [31], want [32]`,
		},
		{
			"noise", func(_ *config, _ weights, o *options) { o.Noise = "pink" },
			`scoring.noise: got "pink", want independent, antithetic or shared`,
		},
		{
			"timestep", func(_ *config, _ weights, o *options) { o.Timesteps = []int{1000} },
			"scoring.timesteps: got 1000, want 0 to 999",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, opt := config{Channels: 32, Groups: 4, Blocks: [3]int{1, 0, 1}}, options{}
			w := randomWeights(cfg, 1)
			tt.edit(&cfg, w, &opt)
			if _, err := nets.ScoringGraph(cfg, w, opt); err == nil || err.Error() != tt.want {
				t.Errorf("ScoringGraph() = %v, want %q", err, tt.want)
			}
		})
	}
}

// An older checkpoint holds batch minima and maxima, with rows that were never filled.
func TestWithNormalisation(t *testing.T) {
	inf := float32(math.Inf(1))
	old := checkpoint.Tensors{
		"normalization.mins": {Shape: []int{3, 2}, Data: []float32{-1, 0, -3, 1, inf, inf}},
		"normalization.maxs": {Shape: []int{3, 2}, Data: []float32{2, 4, 1, 10, -inf, -inf}},
	}
	got, err := nets.WithNormalisation(old, 2)
	if err != nil {
		t.Fatal(err)
	}
	if s := got[nets.NormShift].Data; !slices.Equal(s, []float32{-0.5, 5}) {
		t.Errorf("shift %v, want [-0.5 5]", s)
	}
	if s := got[nets.NormScale].Data; !slices.Equal(s, []float32{5, 5}) {
		t.Errorf("scale %v, want [5 5]", s)
	}
	if old[nets.NormShift] != nil {
		t.Error("the argument was changed")
	}
	old["normalization.maxs"].Data = slices.Repeat([]float32{-inf}, 6)
	if _, err := nets.WithNormalisation(old, 2); err == nil {
		t.Error("an infinite range was accepted")
	}
	if _, err := nets.WithNormalisation(old, 3); err == nil {
		t.Error("another number of channels was accepted")
	}
}
