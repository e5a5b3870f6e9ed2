package ort

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

func meanEncoder(t testing.TB) *Encoder {
	t.Helper()
	model, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	return encoder(t, model)
}

func encoder(t testing.TB, model []byte) *Encoder {
	t.Helper()
	e, err := NewEncoder(model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func randomFrame(w, h int) *ingest.Frame {
	r := rand.New(rand.NewPCG(1, uint64(w)))
	f := ingest.NewFrame(w, h)
	for i := range f.Pix {
		f.Pix[i] = byte(r.IntN(256))
	}
	return f
}

// tileMean returns the mean of one channel over a tile of the frame, from 0 to 1.
func tileMean(f *ingest.Frame, x0, y0, w, h, c int) float64 {
	sum := 0.0
	for y := y0; y < y0+h; y++ {
		for x := x0; x < x0+w; x++ {
			sum += float64(f.Pix[3*(y*f.Width+x)+c])
		}
	}
	return sum / float64(w*h) / 255
}

func TestEncoderEncodes(t *testing.T) {
	open(t)
	e := meanEncoder(t)
	for _, tt := range []struct {
		name         string
		w, h, ww, wh int
		tolerance    float64
	}{
		{"as it is", 128, 64, 128, 64, 1e-5},
		// Blocks of 2×2 and 3×3 pixels are averaged before the graph and rounded to bytes, an error of at most ½/255.
		{"half", 256, 128, 128, 64, 2e-3},
		{"a third", 288, 192, 96, 64, 2e-3},
		{"as it is again", 128, 64, 128, 64, 1e-5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := randomFrame(tt.w, tt.h)
			enc, err := e.Encode(t.Context(), f, tt.ww, tt.wh)
			if err != nil {
				t.Fatal(err)
			}
			if enc.Width != tt.ww/16 || enc.Height != tt.wh/16 || enc.Channels != 6 || enc.Classes != 3 ||
				enc.LogitsWidth != tt.ww/8 || enc.LogitsHeight != tt.wh/8 {
				t.Fatalf("grids %+v", enc)
			}
			side := 16 * tt.w / tt.ww
			for i := range enc.Width * enc.Height {
				for c := range 3 {
					want := tileMean(f, i%enc.Width*side, i/enc.Width*side, side, side, c)
					if got := float64(enc.Features[6*i+c]); math.Abs(got-want) > tt.tolerance {
						t.Fatalf("token %d channel %d = %v, want %v", i, c, got, want)
					}
				}
			}
			checkLSE(t, enc)
		})
	}
}

// checkLSE compares lse with the logits of the same run.
func checkLSE(t *testing.T, enc *detector.Encoding) {
	t.Helper()
	n := enc.LogitsWidth * enc.LogitsHeight
	for i := range n {
		sum := 0.0
		for k := range enc.Classes {
			sum += math.Exp(float64(enc.Logits[k*n+i]))
		}
		if math.Abs(float64(enc.LSE[i])-math.Log(sum)) > 1e-4 {
			t.Fatalf("lse %d = %v, want %v", i, enc.LSE[i], math.Log(sum))
		}
	}
}

func TestEncoderReusesItsOutputs(t *testing.T) {
	open(t)
	e := meanEncoder(t)
	a, err := e.Encode(t.Context(), randomFrame(128, 64), 128, 64)
	if err != nil {
		t.Fatal(err)
	}
	first, value := &a.Features[0], a.Features[0]
	b, err := e.Encode(t.Context(), randomFrame(130, 66), 128, 64)
	if err != nil {
		t.Fatal(err)
	}
	if &b.Features[0] != first || b.Features[0] == value {
		t.Error("the output of the same working size is not reused")
	}
	plainFrame := ingest.NewFrame(128, 64)
	if allocs := testing.AllocsPerRun(20, func() {
		if _, err := e.Encode(t.Context(), plainFrame, 128, 64); err != nil {
			t.Error(err)
		}
	}); allocs > 40 {
		t.Errorf("%v allocations per frame", allocs)
	}
}

func TestEncoderMistakes(t *testing.T) {
	open(t)
	e := meanEncoder(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Encode(cancelled, randomFrame(32, 32), 32, 32); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
	if _, err := e.Encode(t.Context(), randomFrame(32, 32), 0, 32); err == nil {
		t.Error("a working size of 0 is accepted")
	}
	if _, err := e.Encode(t.Context(), randomFrame(32, 32), 32, 32); err != nil {
		t.Errorf("after the mistakes: %v", err)
	}
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	other := graph.New(graph.Float32)
	other.Output(other.Unary("Relu", other.Input("x", graph.Float32, 2)), "y")
	model, err := other.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewEncoder(model, Options{}); err == nil || !strings.Contains(err.Error(), `the graph has an input "x"`) {
		t.Errorf("NewEncoder(another graph) = %v", err)
	}
}

func TestConnect(t *testing.T) {
	in := []string{"size", "image"}
	for _, tt := range []struct {
		outputs []string
		want    []int
		fault   string
	}{
		{[]string{"lse", "features", "logits"}, []int{1, 2, 0, -1, -1, -1}, ""},
		{[]string{"unclaimed", "features"}, []int{1, -1, -1, -1, -1, 0}, ""},
		{[]string{"features", "logits"}, nil, `the graph has "logits" without "lse"`},
		{[]string{"features", "lse"}, nil, `the graph has "lse" without "logits"`},
		{[]string{"features", "class_logits", "mask_logits"}, nil, `the graph has "mask_logits" without "logits"`},
		{[]string{"logits", "lse"}, nil, `the graph has no "features"`},
		{[]string{"features", "depth"}, nil, `the graph has an output "depth"`},
	} {
		var e Encoder
		err := e.connect(in, tt.outputs)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("connect(%v) = %v, want %q", tt.outputs, err, tt.fault)
			}
			continue
		}
		if err != nil || !slices.Equal(e.out, tt.want) || !slices.Equal(e.in, []int{1, 0}) {
			t.Errorf("connect(%v) = %v, outputs %v, want %v", tt.outputs, err, e.out, tt.want)
		}
	}
}

// BenchmarkFrame measures the cost of a frame with EfficientViT-B0 at 1024×512, by stage.
func BenchmarkFrame(b *testing.B) {
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		b.Skip("OODCAST_DATA is not set: no weights to measure with")
	}
	weights, _, err := checkpoint.OpenTorch(filepath.Join(data, "encoders/efficientvit_seg_b0_cityscapes.pt"))
	if err != nil {
		b.Fatal(err)
	}
	r, err := Open("")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for _, features := range []string{nets.DefaultFeatures, "head@32,stage3@32"} {
		cfg, err := nets.InferEfficientViT(weights)
		if err != nil {
			b.Fatal(err)
		}
		cfg.Features = features
		g, err := nets.EfficientViT(cfg, weights)
		if err != nil {
			b.Fatal(err)
		}
		model, err := g.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		benchmarkFrame(b, features, encoder(b, model))
	}
}

func benchmarkFrame(b *testing.B, features string, e *Encoder) {
	f := randomFrame(1024, 512)
	enc, err := e.Encode(b.Context(), f, 1024, 512)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("features=%s/stage=encode", features), func(b *testing.B) {
		before := cpuTime(b)
		for b.Loop() {
			if _, err := e.Encode(b.Context(), f, 1024, 512); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
	})
	net := models.DenoiserConfig{
		Channels: enc.Channels, Width: enc.Channels, Groups: 1, Blocks: [3]int{2, 0, 2}, Time: "sinusoidal",
	}
	n := enc.Width * enc.Height
	cfg := ScorerConfig{Denoiser: net, Weights: denoiser(net, 1), Noise: "antithetic", Score: "cosine"}
	s := scorer(b, cfg, Options{})
	for _, k := range []int{1, 5, 25} {
		steps := make([]int, k)
		for i := range steps {
			steps[i] = 100 + 9*i
		}
		dst := make([]float32, k*n)
		if err := s.ScoreTo(dst, enc.Features, n, steps); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("features=%s/stage=score/timesteps=%d", features, k), func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				if err := s.ScoreTo(dst, enc.Features, n, steps); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
		})
	}
}
