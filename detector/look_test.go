package detector

import (
	"image"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/diffusion"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// enlarged returns a frame of 256×128, twice the working size, with noise and a square of another colour.
func enlarged(seed uint64, x, y, side int) *ingest.Frame {
	small := noiseFrame(seed, cells{})
	defer small.Release()
	f := ingest.NewFrame(256, 128)
	f.Camera, f.Captured = small.Camera, small.Captured
	for i := range f.Width * f.Height {
		px, py := i%f.Width, i/f.Width
		for c := range 3 {
			f.Pix[3*i+c] = small.Pix[3*(py/2*small.Width+px/2)+c]
			if px >= x && px < x+side && py >= y && py < y+side {
				f.Pix[3*i+c] = []byte{250, 20, 20}[c]
			}
		}
	}
	return f
}

// lookManifest and lookCalibration are those of a detector that can take second looks.
func lookManifest() models.Manifest {
	m := testManifest()
	m.Compound = models.SizedCompound()
	m.Diffusion.Score = models.ScoreMSE
	return m
}

func lookCalibration(t *testing.T) Calibration {
	t.Helper()
	cal, m := testCalibration(t), lookManifest()
	s, e := gaussScorer{diffusion.NewSchedule()}, &meanEncoder{}
	voices := func(w, h int) Voices {
		var encs []Encoding
		var scores [][]float32
		for seed := range uint64(6) {
			f := enlarged(100+seed, 0, 0, 0)
			enc, err := e.Encode(t.Context(), f, w, h)
			if err != nil {
				t.Fatal(err)
			}
			f.Release()
			one := make([]float32, enc.Width*enc.Height*len(cal.Timesteps))
			if err := ScoreEncoding(s, one, enc, cal.Timesteps); err != nil {
				t.Fatal(err)
			}
			encs, scores = append(encs, *enc), append(scores, one)
		}
		v, err := MeasureVoices(m, cal, encs, scores)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := voices(128, 64)
	cal.Voices, cal.Look = &first, &LookCalibration{Frames: 6, Top: 0.5, Bottom: 0.75, Voices: voices(256, 128)}
	return cal
}

func lookDetector(t *testing.T, edit func(*Config)) *Detector {
	t.Helper()
	cfg := DefaultConfig()
	if edit != nil {
		edit(&cfg)
	}
	d, err := New(&meanEncoder{}, gaussScorer{diffusion.NewSchedule()}, lookManifest(), lookCalibration(t), "cpu", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustScore(t *testing.T, d *Detector, f *ingest.Frame) *Map {
	t.Helper()
	m, err := d.Score(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSecondLookFindsWhatIsSmall(t *testing.T) {
	const x, y, side = 120, 72, 14 // in the band, which is rows 64 to 96
	off := lookDetector(t, func(c *Config) { c.SecondLook = LookOff })
	on := lookDetector(t, func(c *Config) { c.SecondLook = LookOn })
	a, b := mustScore(t, off, enlarged(1, x, y, side)), mustScore(t, on, enlarged(1, x, y, side))
	if a.SecondLook || !b.SecondLook {
		t.Fatalf("second looks: %v with off, %v with on", a.SecondLook, b.SecondLook)
	}
	raised, inside := 0, false
	for i, v := range b.Values {
		cx, cy := i%b.Width, i/b.Width
		band := cy >= 4 && cy < 6
		switch {
		case v < a.Values[i], v > a.Values[i] && !band:
			t.Fatalf("cell %d, %d: %v with a second look, %v without", cx, cy, v, a.Values[i])
		case v > a.Values[i]+1:
			raised++
			inside = inside || cx == (x+side/2)/16 && cy == (y+side/2)/16
		}
	}
	if raised == 0 || !inside {
		t.Errorf("%d cells are raised by more than a deviation, that of the object: %v", raised, inside)
	}
	// The same through an encoding.
	f := enlarged(1, x, y, side)
	defer f.Release()
	enc, err := on.Encode(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	c, err := on.ScoreEncoding(enc)
	if err != nil || !slices.Equal(b.Values, c.Values) || !slices.Equal(b.Voices, c.Voices) {
		t.Errorf("an encoding gives another map than its frame (%v)", err)
	}
}

// Where the surroundings are strange in the first look, the second one counts for nothing.
func TestSecondLookJoin(t *testing.T) {
	around := []float32{0, 2, 30, 0}
	first := &Compound{rules: models.SizedCompound(), sized: &sized{around: around, voices: make([]Voice, 4)}}
	first.cal.Levels = []Level{{Timesteps: 1, Values: []Quantile{{middleP, 0}, {tailP, tailZ / 2}}}} // twice the score
	s := &secondLook{
		values:   []float32{1, 2, 3, 4, 5, 1, 0, 0, -9, 3, 3, 3, 3, 3, -1, -2},
		compound: &Compound{sized: &sized{voices: []Voice{0, 0, 1, 1, 2, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0}}, part: PartCompound},
	}
	// 4×4 cells of the second look are 2×2 of the map.
	enc := &Encoding{LogitsWidth: 2, LogitsHeight: 2, Look: &Look{
		Encoding: &Encoding{LogitsWidth: 4, LogitsHeight: 4}, Cells: image.Rect(0, 0, 2, 2),
	}}
	dst := []float32{4, 2, -7, 100}
	s.join(dst, first, enc, 1)
	sigma := func(v float64) float64 { return 1 / (1 + math.Exp(-v)) }
	want := []float64{4 + sigma(4)*6, 2 + sigma(0)*6, -7, 100}
	for i, v := range dst {
		if math.Abs(float64(v)-want[i]) > 1e-4 {
			t.Errorf("cell %d = %v, want %v", i, v, want[i])
		}
	}
	if want := []Voice{VoiceContrast, 0, 0, 0}; !slices.Equal(first.sized.voices, want) {
		t.Errorf("voices %v, want %v", first.sized.voices, want)
	}
}

func TestSecondLookPlan(t *testing.T) {
	m := lookManifest()
	m.Encoder.Size = models.Size{Width: 1024, Height: 512}
	cal := Calibration{Look: &LookCalibration{Top: 0.375, Bottom: 0.625}}
	for _, tt := range []struct {
		name          string
		width, height int
		region        []float64
		roi           ROI
		part          image.Rectangle
		cells         image.Rectangle
		size          image.Point
		why           string
	}{
		{"twice the size", 2048, 1024, nil, ROI{}, image.Rect(0, 384, 2048, 640), image.Rect(0, 24, 128, 40), image.Pt(2048, 256), ""},
		{"four times", 4096, 2048, nil, ROI{}, image.Rect(0, 768, 4096, 1280), image.Rect(0, 24, 128, 40), image.Pt(2048, 256), ""},
		{"full HD", 1920, 1080, nil, ROI{}, image.Rect(0, 397, 1920, 682), image.Rect(0, 25, 120, 43), image.Pt(1920, 288), ""},
		{"region", 2048, 1024, []float64{0.25, 0.5, 0.5, 0.6}, ROI{}, image.Rect(512, 496, 1024, 624), image.Rect(32, 31, 64, 39), image.Pt(512, 128), ""},
		{
			"below the region of interest", 2048, 1024, nil,
			ROI{Include: []Polygon{{{0, 0.8}, {1, 0.8}, {1, 1}, {0, 1}}}},
			image.Rect(0, 384, 2048, 640), image.Rect(0, 24, 128, 40), image.Pt(2048, 256), "no second look: the region of interest has nothing of it",
		},
		{
			"too small", 1280, 720, nil,
			ROI{},
			image.Rectangle{},
			image.Rectangle{},
			image.Point{},
			"no second look: frames of 1280x720 have less than 1.5 times the working size, 960x544",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.SecondLookRegion, cfg.ROI = tt.region, tt.roi
			s, err := newSecondLook(m, cal, cfg)
			if err != nil {
				t.Fatal(err)
			}
			w, h := FitSize(tt.width, tt.height, m.Encoder)
			f := &ingest.Frame{Width: tt.width, Height: tt.height}
			if why := s.prepare(f, w, h); why != tt.why {
				t.Errorf("prepare() = %q, want %q", why, tt.why)
			}
			if again := s.prepare(f, w, h); again != "" {
				t.Errorf("the second time: %q", again)
			}
			if p := s.plan; p.part != tt.part || p.cells != tt.cells || p.size != tt.size {
				t.Errorf("part %v, cells %v, size %v, want %v, %v, %v", p.part, p.cells, p.size, tt.part, tt.cells, tt.size)
			}
		})
	}
}

func TestSecondLookCrop(t *testing.T) {
	f := enlarged(1, 0, 0, 0)
	defer f.Release()
	for _, part := range []image.Rectangle{image.Rect(0, 64, 256, 96), image.Rect(3, 5, 21, 8)} {
		s := &secondLook{plan: lookPlan{part: part}}
		got := s.crop(f)
		if got.Width != part.Dx() || got.Height != part.Dy() || len(got.Pix) != 3*part.Dx()*part.Dy() {
			t.Fatalf("%v: %dx%d, %d bytes", part, got.Width, got.Height, len(got.Pix))
		}
		for y := range got.Height {
			row := f.Pix[3*((part.Min.Y+y)*f.Width+part.Min.X):][:3*got.Width]
			if !slices.Equal(got.Pix[3*y*got.Width:][:3*got.Width], row) {
				t.Fatalf("%v: row %d differs", part, y)
			}
		}
	}
}

func TestSecondLookRefuses(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SecondLook = LookOn
	_, err := New(&meanEncoder{}, gaussScorer{diffusion.NewSchedule()}, testManifest(), testCalibration(t), "cpu", cfg)
	if err == nil || !strings.Contains(err.Error(), "second_look: the bundle's calibration has none: run oodcast fit --calibrate-only") {
		t.Errorf("New() = %v", err)
	}
	for _, r := range [][]float64{{0, 0, 1}, {0, 0.5, 1, 0.52}, {0, -0.1, 1, 1}, {0, 0, math.NaN(), 1}} {
		cfg.SecondLookRegion = r
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "detector.second_look_region: got") {
			t.Errorf("%v: %v", r, err)
		}
	}
	cal := lookCalibration(t)
	cal.Look.Top = cal.Look.Bottom
	if err := cal.Validate(); err == nil || !strings.Contains(err.Error(), "calibration.second_look: top and bottom") {
		t.Errorf("calibration: %v", err)
	}
}

// The operator hears once why there is no second look, and of the first one.
func TestSecondLookNotes(t *testing.T) {
	d := lookDetector(t, nil)
	var notes []string
	for i, f := range []*ingest.Frame{
		noiseFrame(1, cells{}), noiseFrame(2, cells{}), enlarged(3, 0, 0, 0), enlarged(4, 0, 0, 0), noiseFrame(5, cells{}),
	} {
		if note := mustScore(t, d, f).Note; note != "" {
			notes = append(notes, note)
		} else if i == 0 || i == 2 || i == 4 {
			t.Errorf("no note with frame %d", i)
		}
	}
	if len(notes) != 3 || notes[0] != notes[2] || notes[1] != "second looks at (0,64)-(256,96) of frames of 256x128, at 256x64" {
		t.Errorf("notes %q", notes)
	}
}

func TestLookBand(t *testing.T) {
	encs := make([]Encoding, 2)
	for n := range encs {
		e := &encs[n]
		e.Width, e.Height, e.Channels = 8, 16, 2
		for y := range e.Height {
			for x := range e.Width {
				v := float32(x%2) / (1 + float32(math.Abs(float64(y-9-n)))) // row 9 of 16, and 10
				e.Features = append(e.Features, v, -v)
			}
		}
	}
	top, bottom := LookBand(encs)
	if centre := (top + bottom) / 2; math.Abs(centre-10./16) > 0.04 || bottom-top != lookShare {
		t.Errorf("LookBand() = %v, %v", top, bottom)
	}
	encs[0].Features = make([]float32, len(encs[0].Features)) // a frame without any structure does not count
	if top, _ := LookBand(encs[:1]); top != 0 {
		t.Errorf("without structure: top %v", top)
	}
}
