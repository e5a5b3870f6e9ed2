package opencv_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/oodcast/oodcast/ingest/opencv"
)

// A red disc on a green gradient is cut out to within a pixel or two of its edge, twice alike.
func TestCutOut(t *testing.T) {
	const width, height, radius = 96, 80, 22.0
	rgb := make([]byte, 3*width*height)
	for i := range width * height {
		x, y := i%width, i/width
		rgb[3*i], rgb[3*i+1], rgb[3*i+2] = 20, byte(90+x), byte(40+y/2)
		if math.Hypot(float64(x-48), float64(y-40)) < radius {
			rgb[3*i], rgb[3*i+1], rgb[3*i+2] = byte(200+x%7), byte(30+y%5), 30
		}
	}
	before := bytes.Clone(rgb)
	alpha, err := opencv.CutOut(rgb, width, height)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range alpha {
		d := math.Hypot(float64(i%width-48), float64(i/width-40))
		if d < radius-2 && a != 255 || d > radius+2 && a != 0 {
			t.Fatalf("alpha %d at %d,%d, %.1f pixels from the middle", a, i%width, i/width, d)
		}
	}
	again, err := opencv.CutOut(rgb, width, height)
	if err != nil || !bytes.Equal(again, alpha) || !bytes.Equal(rgb, before) {
		t.Errorf("a second cut differs, or the picture was changed: %v", err)
	}
	for _, bad := range [][2]int{{4, 4}, {width, height + 1}} {
		if _, err := opencv.CutOut(rgb, bad[0], bad[1]); err == nil {
			t.Errorf("CutOut(%v): no error", bad)
		}
	}
}
