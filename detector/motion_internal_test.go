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

const streetWidth, streetHeight = 360, 240

// texture is smooth noise with details of 6 and of 24 pixels, at whole pixels from -50.
func texture(seed uint64) func(x, y int) float64 {
	const side = 128
	r := rand.New(rand.NewPCG(seed, 0))
	knots := make([]float64, side*side)
	for i := range knots {
		knots[i] = r.Float64()
	}
	at := func(x, y float64) float64 {
		ix, iy := int(x), int(y)
		fx, fy := x-float64(ix), y-float64(iy)
		k := knots[iy*side+ix:]
		return (k[0]*(1-fx)+k[1]*fx)*(1-fy) + (k[side]*(1-fx)+k[side+1]*fx)*fy
	}
	return func(x, y int) float64 {
		px, py := float64(x+50), float64(y+50)
		return 110*at(px/6, py/6) + 110*at(px/24, py/24)
	}
}

// street paints a textured wall, shifted by the camera's shake, with a textured square of 40 pixels whose left edge is at x.
func street(x, y float64, shake int, at time.Duration) *ingest.Frame {
	f := ingest.NewFrame(streetWidth, streetHeight)
	f.PTS = at
	wall, thing := texture(1), texture(2)
	for i := range streetWidth * streetHeight {
		px, py := i%streetWidth, i/streetWidth
		v := byte(wall(px+shake, py))
		if dx, dy := px-int(x), py-int(y); dx >= 0 && dx < 40 && dy >= 0 && dy < 40 {
			v = byte(thing(dx, dy))
		}
		f.Pix[3*i], f.Pix[3*i+1], f.Pix[3*i+2] = v, v, v
	}
	return f
}

// watch shows a square that crosses the picture with a speed in pixels per second, and returns the last speeds and the median
// over time of the highest one.
func watch(m *Motion, speed, fps float64, shake func(i int) int) (s Speeds, median float64) {
	var peaks []float64
	for i := range int(fps) {
		f := street(60+speed*float64(i)/fps-float64(shake(i)), 100, shake(i), time.Duration(float64(i)/fps*1e9))
		if s = m.See(f); len(s.Values) > 0 {
			peaks = append(peaks, most(s))
		}
		f.Release()
	}
	slices.Sort(peaks)
	return s, peaks[len(peaks)/2]
}

func still(int) int { return 0 }

func most(s Speeds) float64 {
	v := float32(0)
	for _, x := range s.Values {
		v = max(v, x)
	}
	return float64(v)
}

// A speed is one per second and per height of the picture, whatever the frame rate, and a camera that shakes does not change it.
func TestSpeedsDoNotDependOnFrameRateOrShaking(t *testing.T) {
	for name, c := range map[string]struct {
		fps   float64
		shake func(i int) int
	}{
		"10 frames per second": {10, still}, "5 frames per second": {5, still}, "30 frames per second": {30, still},
		"a shaking camera": {10, func(i int) int { return i % 4 / 2 * 3 }},
	} {
		s, got := watch(NewMotion(), 40, c.fps, c.shake)
		if want := 40.0 / streetHeight; math.Abs(got-want) > 0.3*want {
			t.Errorf("%s: %.3f heights per second, want %.3f", name, got, want)
		}
		elsewhere := 0
		for i, v := range s.Values {
			if y := (float64(i/s.Width) + 0.5) / float64(s.Height) * streetHeight; (y < 80 || y > 160) && v > 0.05 {
				elsewhere++
			}
		}
		if elsewhere > len(s.Values)/100 {
			t.Errorf("%s: %d of %d cells elsewhere move", name, elsewhere, len(s.Values))
		}
	}
}

// There are no speeds at first, after a gap, after Forget, and while the scene moves as a whole.
func TestMotionKnowsWhenItDoesNotKnow(t *testing.T) {
	m := NewMotion()
	see := func(x float64, at time.Duration) Speeds {
		f := street(x, 100, 0, at)
		defer f.Release()
		return m.See(f)
	}
	if s := see(60, 0); len(s.Values) > 0 {
		t.Error("speeds after one picture")
	}
	if s := see(66, 200*time.Millisecond); len(s.Values) == 0 {
		t.Error("no speeds after two pictures")
	}
	if s := see(70, 250*time.Millisecond); len(s.Values) == 0 {
		t.Error("the speeds do not stay until the next flow")
	}
	if s := see(70, 5*time.Second); len(s.Values) > 0 {
		t.Error("speeds across a gap")
	}
	m.Forget()
	if s := see(70, 5200*time.Millisecond); len(s.Values) > 0 {
		t.Error("speeds after Forget")
	}
	if s := see(70, 0); len(s.Values) > 0 {
		t.Error("speeds into another clip")
	}
	zoom := func(scale float64, at time.Duration) Speeds {
		f, from := ingest.NewFrame(streetWidth, streetHeight), street(60, 100, 0, 0)
		defer f.Release()
		defer from.Release()
		f.PTS = at
		for i := range streetWidth * streetHeight {
			x := int(streetWidth/2 + (float64(i%streetWidth)-streetWidth/2)/scale)
			y := int(streetHeight/2 + (float64(i/streetWidth)-streetHeight/2)/scale)
			copy(f.Pix[3*i:3*i+3], from.Pix[3*(y*streetWidth+x):])
		}
		return m.See(f)
	}
	zoom(1, 10*time.Second)
	if s := zoom(1.06, 10*time.Second+200*time.Millisecond); len(s.Values) > 0 {
		t.Errorf("speeds of up to %.2f of a camera that drives forward", most(s))
	}
}

func encodingsWith(speed func(i int) float32, n int) []Encoding {
	encs := make([]Encoding, n)
	for k := range encs {
		s := Speeds{Width: 6, Height: 4, Values: make([]float32, 24)}
		for i := range s.Values {
			s.Values[i] = speed(k*24 + i)
		}
		encs[k].Motion = s
	}
	return encs
}

// What is as fast as normal footage counts nothing, what is faster counts as much as the diffusion score that is as rare.
func TestMotionScale(t *testing.T) {
	normal := encodingsWith(func(i int) float32 { return 0.2 * float32(i%100) / 100 }, 50)
	scale := measureMotion(normal, 7)
	if scale == nil {
		t.Fatal("no scale")
	}
	if err := scale.validate(); err != nil {
		t.Fatal(err)
	}
	walk := scale.apply(nil, encodingsWith(func(int) float32 { return 0.19 }, 1)[0].Motion)
	run := scale.apply(nil, encodingsWith(func(int) float32 { return 0.6 }, 1)[0].Motion)
	if walk[0] != 0 || run[0] < 7 || run[0] > 15 {
		t.Errorf("walkers score %v, runners %v", walk[0], run[0])
	}
	if s := measureMotion(encodingsWith(func(int) float32 { return 0 }, 50), 7); s == nil || s.Scale > 7/motionTwice+1e-9 {
		t.Errorf("an empty room: %+v", s)
	}
	if s := measureMotion(normal[:fewestMotions-1], 7); s != nil {
		t.Error("a scale from too few frames")
	}
	if s := measureMotion(append(make([]Encoding, 51), normal...), 7); s != nil {
		t.Error("a scale of a camera that moves")
	}
}

// Motion adds to the score of the rule sized, is its voice, and counts nothing without speeds or without its weight.
func TestSizedAddsMotion(t *testing.T) {
	for name, c := range map[string]struct {
		weight float64
		speeds float32
		want   float32
		voice  Voice
	}{
		"fast":      {1, 0.8, 1, VoiceMotion},
		"slow":      {1, 0.01, 0, VoiceDiffusion},
		"no weight": {0, 0.8, 0, VoiceDiffusion},
	} {
		rules := models.SizedCompound()
		rules.Upsample, rules.MotionWeight = models.UpsampleBilinear, c.weight
		s := &sized{rules: rules, radius: 1, scale: Voices{
			Diffusion: []Spread{{Deviation: 1}},
			Motion:    &MotionScale{Rows: []float64{0.2}, Scale: 1 / math.Log((0.8+motionFloor)/(0.2+motionFloor))},
		}}
		enc := &Encoding{LogitsWidth: 4, LogitsHeight: 3, Motion: Speeds{Width: 2, Height: 2, Values: []float32{c.speeds, c.speeds, c.speeds, c.speeds}}}
		dst := make([]float32, 12)
		if err := s.join(dst, 1, enc, true); err != nil {
			t.Fatal(err)
		}
		if math.Abs(float64(dst[5]-c.want)) > 1e-5 || s.voices[5] != c.voice {
			t.Errorf("%s: %v, voice %v; want %v, %v", name, dst[5], s.voices[5], c.want, c.voice)
		}
	}
}

func BenchmarkMotion(b *testing.B) {
	const w, h = 768, 576
	frames := make([]*ingest.Frame, 4)
	for i := range frames {
		frames[i] = ingest.NewFrame(w, h)
		for p := range frames[i].Pix {
			frames[i].Pix[p] = byte((p/3%w + 5*i) * (p / 3 / w))
		}
	}
	m := NewMotion()
	i := 0
	for b.Loop() {
		f := frames[i%len(frames)]
		f.PTS = time.Duration(i) * motionSpan
		m.See(f)
		i++
	}
}
