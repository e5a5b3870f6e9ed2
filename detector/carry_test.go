package detector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// The pictures of these tests are cut out of a scene with details of several sizes. A cell of the map is 8 pixels wide.
const (
	carryWidth, carryHeight = 256, 128
	carryCols, carryRows    = carryWidth / testLogits, carryHeight / testLogits
	carryMemory             = 200 * time.Millisecond
	carryStep               = 80 * time.Millisecond // from frame to frame
)

// scene returns the picture of a camera that looks at (x, y) of the scene of a seed, with an object of 24 x 24 pixels, unless
// it is outside.
func scene(seed uint64, x, y int, object [2]int) *ingest.Frame {
	const side, margin = 512, 100
	r := rand.New(rand.NewPCG(seed, 0))
	sum := make([]float32, side*side)
	for _, cell := range []int{4, 16, 64} {
		n := side/cell + 2
		knots := make([]float32, n*n)
		for i := range knots {
			knots[i] = 80 * (r.Float32() - 0.5)
		}
		for i := range sum {
			sum[i] += read(knots, n, n, float32(i%side)/float32(cell), float32(i/side)/float32(cell))
		}
	}
	f := ingest.NewFrame(carryWidth, carryHeight)
	for i := range carryWidth * carryHeight {
		px, py := i%carryWidth, i/carryWidth
		v := 128 + sum[(py+y+margin)*side+px+x+margin]
		if dx, dy := px-object[0], py-object[1]; dx >= 0 && dx < 24 && dy >= 0 && dy < 24 {
			v = float32(40 + 170*((dx/6+dy/6)%2))
		}
		f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = byte(v), byte(v), byte(v)
	}
	return f
}

var nowhere = [2]int{-100, -100}

// carryMap returns a map of 1 with the given value in a square of 3 x 3 cells.
func carryMap(n int, col, row int, value float32) *Map {
	m := &Map{Width: carryCols, Height: carryRows, PTS: time.Duration(n) * carryStep, Values: make([]float32, carryCols*carryRows)}
	for i := range m.Values {
		m.Values[i] = 1
		if dx, dy := i%carryCols-col, i/carryCols-row; max(dx, -dx, dy, -dy) <= 1 {
			m.Values[i] = value
		}
	}
	return m
}

// play passes frames and their maps to a carrier and returns what it makes of the last map.
func play(c *Carrier, frames []*ingest.Frame, maps []*Map) *Map {
	for i, f := range frames {
		c.See(f)
		c.Blend(maps[i])
	}
	return maps[len(maps)-1]
}

// What was strange in the last map is where the camera has moved it to, and fades with time.
func TestCarriedAlongTheMotion(t *testing.T) {
	for name, pan := range map[string][2]int{"still": {0, 0}, "right": {24, 0}, "down": {0, 16}, "both": {-16, 8}} {
		m := play(NewCarrier(carryMemory), []*ingest.Frame{scene(1, 0, 0, nowhere), scene(1, pan[0], pan[1], nowhere)},
			[]*Map{carryMap(0, 16, 8, 9), carryMap(1, -9, -9, 0)})
		want := 1 + 8*float32(math.Exp(-carryStep.Seconds()/carryMemory.Seconds()))
		col, row := 16-pan[0]/testLogits, 8-pan[1]/testLogits
		if v := m.Values[row*carryCols+col]; math.Abs(float64(v-want)) > 0.1 {
			t.Errorf("%s: the place has %v, want %v", name, v, want)
		}
		for i, v := range m.Values {
			if dx, dy := i%carryCols-col, i/carryCols-row; max(dx, -dx, dy, -dy) > 2 && v > 1.5 {
				t.Errorf("%s: %v at %d,%d, away from %d,%d", name, v, i%carryCols, i/carryCols, col, row)
			}
		}
	}
}

// A scene that stays the same, with maps that stay the same, has the same maps as without.
func TestCarriedStillSceneStaysAsItIs(t *testing.T) {
	c, want := NewCarrier(carryMemory), carryMap(0, 16, 8, 9)
	for n := range 5 {
		m := carryMap(n, 16, 8, 9)
		c.See(scene(1, 0, 0, nowhere))
		c.Blend(m)
		if f := maxDifference(m.Values, want.Values); f > 1e-5 {
			t.Errorf("map %d differs by %v", n, f)
		}
	}
}

// What appears has its own value at once, and what has left the picture leaves nothing behind, while the camera moves.
func TestCarriedObjectsComeAndGoAtOnce(t *testing.T) {
	col, row := 104/testLogits+1, 48/testLogits+1
	pan, object := 16, [2]int{104, 48}
	m := play(NewCarrier(carryMemory), []*ingest.Frame{scene(1, 0, 0, nowhere), scene(1, pan, 0, object)},
		[]*Map{carryMap(0, -9, -9, 0), carryMap(1, col, row, 9)})
	if f := maxDifference(m.Values, carryMap(1, col, row, 9).Values); f > 1e-5 {
		t.Errorf("an object that appears: the map differs by %v from that of the frame alone", f)
	}
	m = play(NewCarrier(carryMemory), []*ingest.Frame{scene(1, 0, 0, object), scene(1, pan, 0, nowhere)},
		[]*Map{carryMap(0, col, row, 9), carryMap(1, -9, -9, 0)})
	if v := slices.Max(m.Values); v > 3 {
		t.Errorf("an object that has left still has %v, want a quarter of 8 above 1 at most", v)
	}
}

// Nothing is carried over a cut, a change of size, a pause, a frame without a map, another stream, or time that runs backwards.
func TestCarriedStartsAgain(t *testing.T) {
	first := scene(1, 0, 0, nowhere)
	for name, next := range map[string]func(c *Carrier) *Map{
		"cut": func(c *Carrier) *Map {
			return play(c, []*ingest.Frame{scene(2, 0, 0, nowhere)}, []*Map{carryMap(1, -9, -9, 0)})
		},
		"other grid": func(c *Carrier) *Map {
			m := carryMap(1, -9, -9, 0)
			m.Width, m.Height = m.Height, m.Width
			return play(c, []*ingest.Frame{first}, []*Map{m})
		},
		"other picture": func(c *Carrier) *Map {
			return play(c, []*ingest.Frame{ingest.NewFrame(128, 96)}, []*Map{carryMap(1, -9, -9, 0)})
		},
		"tiny picture": func(c *Carrier) *Map {
			return play(c, []*ingest.Frame{ingest.NewFrame(8, 4)}, []*Map{carryMap(1, -9, -9, 0)})
		},
		"pause": func(c *Carrier) *Map {
			return play(c, []*ingest.Frame{first}, []*Map{carryMap(8, -9, -9, 0)})
		},
		"backwards": func(c *Carrier) *Map {
			return play(c, []*ingest.Frame{first}, []*Map{carryMap(-1, -9, -9, 0)})
		},
		"frame without a map": func(c *Carrier) *Map {
			c.See(first)
			return play(c, []*ingest.Frame{first}, []*Map{carryMap(2, -9, -9, 0)})
		},
		"other stream": func(c *Carrier) *Map {
			c.Forget()
			return play(c, []*ingest.Frame{first}, []*Map{carryMap(1, -9, -9, 0)})
		},
		"other region": func(c *Carrier) *Map {
			m := carryMap(1, -9, -9, 0)
			m.ROI = ROI{Include: []Polygon{{{0, 0}, {1, 0}, {1, 1}, {0, 1}}}}.Mask(carryCols, carryRows)
			return play(c, []*ingest.Frame{first}, []*Map{m})
		},
	} {
		c := NewCarrier(carryMemory)
		play(c, []*ingest.Frame{first}, []*Map{carryMap(0, 16, 8, 9)})
		if m := next(c); slices.Max(m.Values) != 1 {
			t.Errorf("%s: carried %v", name, slices.Max(m.Values))
		}
	}
}

// The voice that made a value goes with it, and a place outside the region of interest tells nothing about one inside.
func TestCarriedVoicesAndRegion(t *testing.T) {
	left := ROI{Include: []Polygon{{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}}}.Mask(carryCols, carryRows)
	a, b := carryMap(0, 17, 8, 9), carryMap(1, -9, -9, 0)
	a.ROI, b.ROI = left, left
	a.Voices, b.Voices = make([]Voice, len(a.Values)), make([]Voice, len(b.Values))
	for i := range a.Voices {
		if !left.Inside[i] {
			a.Voices[i] = VoiceContrast
		}
	}
	frames := []*ingest.Frame{scene(1, 0, 0, nowhere), scene(1, 24, 0, nowhere)}
	m := play(NewCarrier(carryMemory), frames, []*Map{a, b})
	if slices.Max(m.Values) > 1.01 || slices.Contains(m.Voices, VoiceContrast) {
		t.Errorf("carried %v from outside the region", slices.Max(m.Values))
	}
	a, b = carryMap(0, 14, 8, 9), carryMap(1, -9, -9, 0)
	a.ROI, b.ROI, a.Voices = left, left, make([]Voice, len(a.Values))
	b.Voices = make([]Voice, len(b.Values))
	a.Voices[8*carryCols+14] = VoiceContrast
	m = play(NewCarrier(carryMemory), frames, []*Map{a, b})
	if at := 8*carryCols + 11; m.Voices[at] != VoiceContrast || m.Values[at] < 5 {
		t.Errorf("the place has %v and the voice %v", m.Values[at], m.Voices[at])
	}
}

// A detector carries its maps whether its frames are scored alone or together with those of other cameras; drift is judged by
// the frame alone.
func TestDetectorCarries(t *testing.T) {
	carrying := func(c *Config, m *models.Manifest, _ *Calibration) {
		c.Carry, c.Width, c.Height = carryMemory, carryWidth, carryHeight
		m.Compound.Upsample = models.UpsampleBilinear
	}
	alone, together, plain := testDetector(t, carrying), testDetector(t, carrying), testDetector(t, func(c *Config, m *models.Manifest, cal *Calibration) {
		carrying(c, m, cal)
		c.Carry = 0
	})
	higher := 0
	for n := range 4 {
		frame := func() *ingest.Frame {
			f := scene(1, 8*n, 0, [2]int{120 - 8*n, 60})
			f.PTS, f.Captured = time.Duration(n)*carryStep, time.Unix(1000, 0).Add(time.Duration(n)*carryStep)
			return f
		}
		m, err := alone.Score(t.Context(), frame())
		if err != nil {
			t.Fatal(err)
		}
		p, err := plain.Score(t.Context(), frame())
		if err != nil {
			t.Fatal(err)
		}
		ScoreAll(t.Context(), []Job{{together, frame()}}, func(_ int, b *Map, err error) {
			if err != nil || !slices.Equal(b.Values, m.Values) {
				t.Errorf("frame %d: the map of a batch differs, %v", n, err)
			}
		})
		if m.Drift != p.Drift {
			t.Errorf("frame %d: drift %+v, want %+v as without", n, m.Drift, p.Drift)
		}
		if m.Peak != slices.Max(m.Values) {
			t.Errorf("frame %d: peak %v, want %v", n, m.Peak, slices.Max(m.Values))
		}
		for i, v := range m.Values {
			switch d := v - p.Values[i]; {
			case d < 0 || n == 0 && d != 0:
				t.Fatalf("frame %d, cell %d: %v, without %v", n, i, v, p.Values[i])
			case d > 0.01:
				higher++
			}
		}
	}
	if higher == 0 {
		t.Error("nothing was carried")
	}
}

// BenchmarkCarry carries a map of 128 x 64 cells between two frames of 1024 x 512 pixels.
func BenchmarkCarry(b *testing.B) {
	frames := [2]*ingest.Frame{ingest.NewFrame(1024, 512), ingest.NewFrame(1024, 512)}
	for k, f := range frames {
		small := scene(1, 4*k, 0, nowhere)
		for i := range f.Width * f.Height {
			copy(f.Pix[3*i:3*i+3], small.Pix[3*(i/f.Width/4*small.Width+i%f.Width/4):])
		}
	}
	c, m := NewCarrier(carryMemory), &Map{Width: 128, Height: 64, Values: make([]float32, 128*64)}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c.See(frames[n%2])
		m.PTS = time.Duration(n+1) * carryStep
		c.Blend(m)
	}
}
