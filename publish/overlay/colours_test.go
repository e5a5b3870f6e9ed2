package overlay

import (
	"math"
	"testing"

	"github.com/oodcast/oodcast/detector"
)

// A value has one hue, whether it is laid over a frame or painted alone, and the threshold has one place.
func TestColoursHaveTheHuesOfTheLayer(t *testing.T) {
	for _, threshold := range []float32{4, 0.2, -2} {
		ramp := rampFor(threshold)
		m := &detector.Map{Width: shades, Height: 1, Values: make([]float32, shades), Threshold: threshold}
		for i := range m.Values {
			m.Values[i] = ramp.low + float32(i)/(shades-1)/ramp.factor
		}
		rgb, p := Colours(m, m.Width, m.Height), newPalette()
		for i := shades / 3; i < shades; i++ { // above the threshold, where eight bits tell the hue
			c, a := p[i], float64(p[i].a)/255
			for k, over := range [3]uint8{c.r, c.g, c.b} {
				alone := float64(rgb[3*i+k])
				if got := float64(over) / a; math.Abs(got-alone) > 6 {
					t.Errorf("threshold %v, shade %d: channel %d is %.0f over a frame and %.0f alone", threshold, i, k, got, alone)
				}
			}
		}
	}
}

// Normal footage is blue, an anomaly is warm, and no value is out of range.
func TestColours(t *testing.T) {
	m := &detector.Map{Width: 5, Height: 1, Values: []float32{-1000, 0, 4, 8, 1000}, Threshold: 4}
	rgb := Colours(m, 5, 1)
	warmth := func(x int) int { return int(rgb[3*x]) - int(rgb[3*x+2]) }
	if warmth(1) > -100 || warmth(2) < 50 || warmth(3) < 150 || warmth(4) != warmth(3) {
		t.Errorf("colours are %v", rgb)
	}
}
