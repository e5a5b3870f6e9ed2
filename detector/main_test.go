package detector

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testTile   = 16 // pixels per token
	testLogits = 8  // pixels per logit
)

// meanEncoder is a small but real encoder: a token is the mean colour of a tile, and the uncertainty depends on its
// brightness.
type meanEncoder struct {
	enc    Encoding
	broken bool // return NaN
}

func (e *meanEncoder) Encode(ctx context.Context, f *ingest.Frame, w, h int) (*Encoding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.enc = Encoding{
		Width: w / testTile, Height: h / testTile, Channels: 3, LogitsWidth: w / testLogits, LogitsHeight: h / testLogits,
		Classes: 1,
	}
	e.enc.Features = means(f, e.enc.Width, e.enc.Height)
	cells := means(f, e.enc.LogitsWidth, e.enc.LogitsHeight)
	e.enc.Guide = cells
	e.enc.LSE = make([]float32, e.enc.LogitsWidth*e.enc.LogitsHeight)
	for i := range e.enc.LSE {
		e.enc.LSE[i] = cells[3*i]
		if e.broken {
			e.enc.LSE[i] = float32(math.NaN())
		}
	}
	return &e.enc, nil
}

func (e *meanEncoder) Close() error { return nil }

// means averages the frame over a grid of w × h tiles, each channel scaled to 0 … 1.
func means(f *ingest.Frame, w, h int) []float32 {
	out := make([]float32, 3*w*h)
	for y := range h {
		for x := range w {
			x0, x1, y0, y1 := x*f.Width/w, (x+1)*f.Width/w, y*f.Height/h, (y+1)*f.Height/h
			for c := range 3 {
				sum := 0.0
				for yy := y0; yy < y1; yy++ {
					for xx := x0; xx < x1; xx++ {
						sum += float64(f.Pix[3*(yy*f.Width+xx)+c])
					}
				}
				out[3*(y*w+x)+c] = float32(sum / float64((x1-x0)*(y1-y0)) / 255)
			}
		}
	}
	return out
}

// gaussScorer scores with the exact denoiser of standard normal features, ε̂ = √(1-ᾱ)·x_t. Training converges to it if the
// features of normal footage are Gaussian.
type gaussScorer struct{ schedule *diffusion.Schedule }

func (s gaussScorer) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	c := len(features) / n
	x := make([]float32, len(features))
	for i, v := range features {
		x[i] = (v - 0.5) / 0.1
	}
	for k, t := range timesteps {
		_, b := s.schedule.Coefficients(t)
		eps := diffusion.Noise{Seed: 1}.FillTo(make([]float32, n*c), t, 0, c)
		xt := s.schedule.NoiseTo(make([]float32, n*c), x, eps, t)
		for i := range n {
			hat := make([]float32, c)
			for j := range hat {
				hat[j] = b * xt[i*c+j]
			}
			dst[k*n+i] = diffusion.MSE(eps[i*c:][:c], hat)
		}
	}
	return nil
}

func (s gaussScorer) Close() error { return nil }

func testOrder() []int { return diffusion.Spread(100, 330, 5) }

func testManifest() models.Manifest {
	m := models.DefaultManifest()
	m.Name = "test"
	m.Encoder = models.EncoderSpec{
		Architecture: "mean", Features: "mean@16", Channels: 3, Stride: testTile, LogitsStride: testLogits,
		Classes: []string{"a", "b"}, Size: models.Size{Width: 128, Height: 64},
	}
	m.Diffusion.Timesteps = testOrder()
	return m
}

// noiseFrame returns a grey frame with noise and the given rectangle in another colour.
func noiseFrame(seed uint64, odd cells) *ingest.Frame {
	r := rand.New(rand.NewPCG(seed, 0))
	f := ingest.NewFrame(128, 64)
	f.Camera, f.Seq, f.Captured = "yard", seed, time.Unix(1000, 0).Add(time.Duration(seed)*100*time.Millisecond)
	for i := range f.Pix {
		x, y := i/3%f.Width, i/3/f.Width
		v := 127 + 60*(r.Float64()-0.5)
		if x >= odd.x0 && x < odd.x1 && y >= odd.y0 && y < odd.y1 {
			v = 50 + 100*float64(i%3)
		}
		f.Pix[i] = byte(v)
	}
	return f
}

// testCalibration calibrates the test detector on normal frames.
func testCalibration(t *testing.T) Calibration {
	t.Helper()
	order := testOrder()
	s, e := gaussScorer{diffusion.NewSchedule()}, &meanEncoder{}
	rows := make([][]float32, len(order))
	cal := Calibration{Format: CalibrationFormat, Timesteps: order}
	var lse []float32
	for seed := range uint64(20) {
		enc, err := e.Encode(t.Context(), noiseFrame(seed, cells{}), 128, 64)
		if err != nil {
			t.Fatal(err)
		}
		n := enc.Width * enc.Height
		scores := make([]float32, n*len(order))
		if err := s.ScoreTo(scores, enc.Features, n, order); err != nil {
			t.Fatal(err)
		}
		for k := range rows {
			rows[k] = append(rows[k], scores[k*n:][:n]...)
		}
		lse = append(lse, enc.LSE...)
	}
	for k := range rows {
		cov := make([]float64, len(rows))
		for j := range rows {
			cov[j] = covariance(rows[k], rows[j])
		}
		cal.Covariance = append(cal.Covariance, cov)
		cal.Mean = append(cal.Mean, mean(rows[k]))
		cal.Min = append(cal.Min, float64(slices.Min(rows[k])))
		cal.Max = append(cal.Max, float64(slices.Max(rows[k])))
	}
	cal.LSE = Moments{
		Mean: mean(lse), Std: math.Sqrt(covariance(lse, lse)), Min: float64(slices.Min(lse)), Max: float64(slices.Max(lse)),
	}
	return cal
}

func mean(x []float32) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}

func covariance(x, y []float32) float64 {
	mx, my, sum := mean(x), mean(y), 0.0
	for i := range x {
		sum += (float64(x[i]) - mx) * (float64(y[i]) - my)
	}
	return sum / float64(len(x)-1)
}

func testDetector(t *testing.T, edit func(*Config, *models.Manifest, *Calibration)) *Detector {
	t.Helper()
	cfg, m, cal := DefaultConfig(), testManifest(), testCalibration(t)
	if edit != nil {
		edit(&cfg, &m, &cal)
	}
	d, err := New(&meanEncoder{}, gaussScorer{diffusion.NewSchedule()}, m, cal, "cpu", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// cells is a rectangle of a grid: x0 ≤ x < x1, y0 ≤ y < y1.
type cells struct{ x0, y0, x1, y1 int }
