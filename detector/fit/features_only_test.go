package fit

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// bundleOf writes an encoder-only bundle with its golden outputs and opens it.
func bundleOf(t *testing.T, model []byte, spec models.EncoderSpec) *models.Bundle {
	t.Helper()
	m := models.DefaultManifest()
	m.Name, m.Encoder = "yard", spec
	files := map[string][]byte{models.EncoderFile: model}
	err := ort.Runner{}.Run(model, func(encode models.EncodeFunc) error {
		g, err := models.NewGolden(encode, models.Size{Width: 128, Height: 96})
		if err == nil {
			files[models.GoldenFile], err = g.Marshal()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "encoder")
	if err := models.Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	return openBundle(t, dir)
}

// featuresOnly returns the mean encoder without its logits.
func featuresOnly(t *testing.T) *models.Bundle {
	t.Helper()
	raw, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.KeepOutputs("features"); err != nil {
		t.Fatal(err)
	}
	spec := orttest.Spec()
	spec.Classes = []string{}
	return bundleOf(t, m.Marshal(), spec)
}

func engineOf(t *testing.T, dir string, cfg detector.Config) *ort.Engine {
	t.Helper()
	engine, err := ort.OpenEngine(openBundle(t, dir), cfg, ort.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// findsSquares tests that maps of the yard with a square in it have higher peaks than maps of the empty yard.
func findsSquares(t *testing.T, engine *ort.Engine) {
	t.Helper()
	for i := range uint64(10) {
		empty, full := score(t, engine, yardFrame(1000+i, 0, 0)), score(t, engine, yardFrame(2000+i, 32, 32))
		if empty.Width != 16 || empty.Height != 8 {
			t.Fatalf("map of %d×%d, want 16×8", empty.Width, empty.Height)
		}
		if full.Peak < empty.Peak+1 || full.Peak <= full.Threshold {
			t.Errorf("peak %g of the empty yard, %g with a square in it, threshold %g", empty.Peak, full.Peak, full.Threshold)
		}
	}
}

// An encoder without classes is fitted, calibrated, refitted from its state and scored. Only the uncertainty is missing.
func TestFeaturesOnly(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
	opt.Bundle = featuresOnly(t)
	mustRun(t, opt)
	findsSquares(t, engineOf(t, opt.Out, detector.DefaultConfig()))
	again := quick(t, filepath.Join(t.TempDir(), "again"))
	again.Bundle, again.CalibrateOnly = openBundle(t, opt.Out), true
	mustRun(t, again)
	findsSquares(t, engineOf(t, again.Out, detector.DefaultConfig()))
	again.LSEWeight = 1
	if _, err := Run(t.Context(), again); err == nil || !strings.Contains(err.Error(), "fit.lse_weight: got 1, want none") {
		t.Errorf("a weight for the uncertainty: %v", err)
	}
	cfg := detector.DefaultConfig()
	cfg.Part = detector.PartLSE
	_, err := ort.OpenEngine(openBundle(t, opt.Out), cfg, ort.Options{Threads: 1})
	if !errors.Is(err, detector.ErrSetting) || !strings.Contains(err.Error(), "part lse needs classes") {
		t.Errorf("part lse: %v", err)
	}
}

// The whitened features of the bundle have mean 0 and deviation 1 on the footage, are not correlated, and lack the
// strongest component. A fit that was interrupted ends the same.
func TestWhiten(t *testing.T) {
	for name, bundle := range map[string]*models.Bundle{"classes": emptyBundle(t), "features": featuresOnly(t)} {
		t.Run(name, func(t *testing.T) {
			opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
			opt.Bundle, opt.Whiten, opt.DropComponents = bundle, true, 1
			opt.LSEWeight = 0 // the logits of the mean encoder are surest of the square
			mustRun(t, opt)
			b := openBundle(t, opt.Out)
			if b.Manifest.Encoder.Channels != 5 || b.Manifest.Denoiser.Channels != 5 {
				t.Errorf("%d channels of the encoder, %d of the denoiser, want 5", b.Manifest.Encoder.Channels, b.Manifest.Denoiser.Channels)
			}
			if note, ok := b.Provenance["whitening"].(map[string]any); !ok || note["dropped"] != 1 {
				t.Errorf("provenance %v", b.Provenance)
			}
			if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil && name == "features" {
				t.Errorf("CheckGolden() = %+v, %v", check, err)
			}
			engine := engineOf(t, opt.Out, detector.DefaultConfig())
			moments := whitened(t, engine)
			for i, v := range moments {
				want := 0.0
				if i > 0 && (i-1)%6 == 0 { // the diagonal of the covariance
					want = 1
				}
				if math.Abs(v-want) > 0.1 { // of other frames than those of the fit
					t.Errorf("mean and covariance: value %d = %v, want %v", i, v, want)
				}
			}
			findsSquares(t, engine)
			again := quick(t, filepath.Join(t.TempDir(), "again")) // another denoiser of the same whitened features
			again.Bundle, again.LSEWeight, again.Steps = b, 0, 5
			mustRun(t, again)
			refitted := openBundle(t, again.Out)
			card, err := refitted.ReadFile(models.CardFile)
			if err != nil || refitted.Provenance["whitening"] == nil || strings.Count(string(card), "## Whitening") != 1 {
				t.Errorf("after another fit: provenance %v, card %s, %v", refitted.Provenance, card, err)
			}
		})
	}
}

// whitened returns the largest mean, and then the covariance, of the features of the empty yard.
func whitened(t *testing.T, e *ort.Engine) []float64 {
	t.Helper()
	const c, frames = 5, 60
	var rows []float32
	for i := range uint64(frames) {
		enc, err := e.Encoder.Encode(t.Context(), yardFrame(i, 0, 0), 128, 64)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, enc.Features...)
	}
	n := float64(len(rows) / c)
	mean, out := make([]float64, c), make([]float64, 1+c*c)
	for i, v := range rows {
		mean[i%c] += float64(v) / n
	}
	for _, m := range mean {
		out[0] = max(out[0], math.Abs(m))
	}
	for at := 0; at < len(rows); at += c {
		for i := range c {
			for j := range c {
				out[1+i*c+j] += (float64(rows[at+i]) - mean[i]) * (float64(rows[at+j]) - mean[j]) / n
			}
		}
	}
	return out
}

func TestWhitenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*Options)
		want string
	}{
		{"without whiten", func(o *Options) { o.DropComponents = 1 }, "fit.drop_components: got 1"},
		{"all components", func(o *Options) { o.Whiten, o.DropComponents = true, 5 }, "got 5, want at most 4"},
		{"paper", func(o *Options) { o.Whiten, o.Paper = true, true }, "fit.whiten: got true, want false in paper mode"},
		{"calibrate only", func(o *Options) { o.Whiten, o.CalibrateOnly = true, true }, "run oodcast fit first"},
	} {
		opt := quick(t, filepath.Join(t.TempDir(), "out"))
		tt.edit(&opt)
		if _, err := Run(t.Context(), opt); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// exponential is the mean encoder with features exp(features·gain), and with logits that are 0, or without logits.
func exponential(t *testing.T, gain float64, classes bool) *models.Bundle {
	t.Helper()
	g := graph.New(graph.Float32)
	image, size := g.Input("image", graph.Uint8, -1, -1, 3), g.Input("size", graph.Int64, 2)
	x := g.ResizeTo(g.Cast(g.Unsqueeze(g.Transpose(image, 2, 0, 1), 0), graph.Float32), size)
	x = g.Mul(x, g.Scalar(1.0/255))
	features := g.Unary("Exp", g.Mul(g.Concat(1, g.AveragePool(x, 16), g.AveragePool(g.Mul(x, x), 16)), g.Scalar(gain)))
	g.Output(g.Squeeze(g.Transpose(features, 0, 2, 3, 1), 0), "features")
	spec := orttest.Spec()
	if classes {
		logits := g.Mul(g.AveragePool(x, 8), g.Scalar(0))
		g.Output(g.Squeeze(logits, 0), "logits")
		g.Output(g.Squeeze(g.Reduce("ReduceLogSumExp", logits, false, 1), 0), "lse")
	} else {
		spec.Classes = []string{}
	}
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return bundleOf(t, raw, spec)
}

// Logits that never vary are found before the training.
func TestConstantLogits(t *testing.T) {
	opt := quick(t, filepath.Join(t.TempDir(), "out"))
	opt.Bundle = exponential(t, 1, true)
	trained := false
	opt.Progress = func(p Progress) { trained = trained || p.Phase == Train }
	_, err := Run(t.Context(), opt)
	if err == nil || !strings.Contains(err.Error(), "--logits none") || strings.Contains(err.Error(), "\n") {
		t.Errorf("Run() = %v, want a hint", err)
	}
	if trained {
		t.Error("the fit trained before it refused")
	}
}
