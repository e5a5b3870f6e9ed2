package detector

import (
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// accumulating returns a detector that scores n timesteps per frame and combines the given number of frames.
func accumulating(t *testing.T, n, frames int, edit func(*Config)) *Detector {
	t.Helper()
	return testDetector(t, func(c *Config, m *models.Manifest, _ *Calibration) {
		m.Compound.Upsample = models.UpsampleBilinear // cells far inside an object do not depend on its surroundings
		c.Timesteps, c.Accumulate = Timesteps(n), frames
		if edit != nil {
			edit(c)
		}
	})
}

func maxDifference(a, b []float32) float64 {
	most := 0.0
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}

// On a still picture, frames of |T|=1 combine to exactly the map that the same number of timesteps gives on one frame. This
// also holds before all frames are filled, and with or without an odd rectangle.
func TestAccumulatedIsExactOnAStillPicture(t *testing.T) {
	for _, part := range []string{PartCompound, PartDiffusion} {
		for _, odd := range []cells{{}, {64, 16, 96, 48}} {
			d := accumulating(t, 1, 5, func(c *Config) { c.Part = part })
			for i := range 12 {
				m, err := d.Score(t.Context(), noiseFrame(3, odd))
				if err != nil {
					t.Fatal(err)
				}
				held := min(i+1, 5)
				want := testOrder()[:held]
				plain := accumulating(t, held, 0, func(c *Config) { c.Part = part })
				p, err := plain.Score(t.Context(), noiseFrame(3, odd))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(m.Timesteps, want) || m.Scored != 1 {
					t.Fatalf("frame %d: timesteps %v, %d scored, want %v and 1", i, m.Timesteps, m.Scored, want)
				}
				if f := maxDifference(m.Values, p.Values); f > 1e-4 {
					t.Errorf("%s, frame %d: differs by %v from |T|=%d on one frame", part, i, f, held)
				}
			}
		}
	}
}

// Where an object appears or disappears, the map immediately depends on the newest frame alone; elsewhere frames still
// accumulate.
func TestAccumulatedForgetsWhatMoved(t *testing.T) {
	d := accumulating(t, 1, 5, func(c *Config) { c.Part = PartDiffusion })
	for range 5 {
		if _, err := d.Score(t.Context(), noiseFrame(3, cells{})); err != nil {
			t.Fatal(err)
		}
	}
	odd := cells{64, 16, 96, 48}
	for i, frame := range []cells{odd, {}, {16, 16, 48, 48}} {
		m, err := d.Score(t.Context(), noiseFrame(3, frame))
		if err != nil {
			t.Fatal(err)
		}
		// The map from the timestep of this frame alone.
		alone := accumulating(t, 0, 0, func(c *Config) { c.Part, c.List = PartDiffusion, testOrder()[i:][:1] })
		a, err := alone.Score(t.Context(), noiseFrame(3, frame))
		if err != nil {
			t.Fatal(err)
		}
		for j := range m.Values {
			x, y := j%m.Width*testLogits, j/m.Width*testLogits
			inside := x >= frame.x0+8 && x < frame.x1-8 && y >= frame.y0+8 && y < frame.y1-8
			left := i > 0 && x >= odd.x0 && x < odd.x1 && y >= odd.y0 && y < odd.y1
			switch {
			case inside && math.Abs(float64(m.Values[j]-a.Values[j])) > 1e-3:
				t.Errorf("frame %d: cell %d,%d of the object = %v, want %v as on the frame alone", i, x, y, m.Values[j], a.Values[j])
			case left && m.Values[j] > 6:
				t.Errorf("frame %d: cell %d,%d is still %v after the object has left", i, x, y, m.Values[j])
			}
		}
	}
}

func TestAccumulationStartsAgain(t *testing.T) {
	d := accumulating(t, 2, 2, nil)
	held := func(want int) {
		t.Helper()
		m, err := d.Score(t.Context(), noiseFrame(3, cells{}))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Timesteps) != want {
			t.Errorf("|T| = %d, want %d", len(m.Timesteps), want)
		}
	}
	held(2)
	held(4)
	held(4)
	d.Forget()
	held(2)
	held(4)
	if err := d.Control().Set(Knob{Timesteps: 1}); err != nil {
		t.Fatal(err)
	}
	held(1)
	held(2)
	d.cfg.Width, d.cfg.Height = 64, 32
	held(1)
	if err := d.Control().Set(Knob{List: testOrder()[2:4]}); err != nil {
		t.Fatal(err)
	}
	held(2) // explicitly listed timesteps are not combined
	held(2)
	if err := d.Control().Set(Knob{Timesteps: 4}); err != nil {
		t.Fatal(err)
	}
	held(4) // the order has no four further timesteps
	held(4)
}
