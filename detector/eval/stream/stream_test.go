package stream_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
)

// sequence is a constructed stream: the pictures, the truth and the maps of its frames.
type sequence struct {
	w, h, n    int
	mapW, mapH int                                       // 0: the frame's size
	picture    func(i, x, y int) byte                    // grey; nil: black
	truth      func(i, x, y int) (label uint8, has bool) // nil: use spans
	spans      []stream.Span
	z          func(i, x, y int) float32 // by cell of the map
	threshold  float32
	white      bool // write the label 1 as 255
	carry      time.Duration
}

// Run implements ingest.Source.
func (s *sequence) Run(ctx context.Context, sink ingest.Sink) error {
	pool := ingest.NewPool(1)
	for i := range s.n {
		f, err := pool.Get(ctx, s.w, s.h)
		if err != nil {
			return err
		}
		clear(f.Pix)
		for p := range s.w * s.h {
			if s.picture != nil {
				v := s.picture(i, p%s.w, p/s.w)
				f.Pix[3*p], f.Pix[3*p+1], f.Pix[3*p+2] = v, v, v
			}
		}
		f.Seq, f.PTS = uint64(i), time.Duration(i)*100*time.Millisecond
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	if n := pool.InFlight(); n != 0 {
		return fmt.Errorf("%d frames not released", n)
	}
	return nil
}

func (s *sequence) masks(t *testing.T) *stream.Truth {
	t.Helper()
	if s.truth == nil {
		return &stream.Truth{Spans: s.spans}
	}
	dir := t.TempDir()
	for i := range s.n {
		m := image.NewGray(image.Rect(0, 0, s.w, s.h))
		known := false
		for p := range m.Pix {
			label, has := s.truth(i, p%s.w, p/s.w)
			if s.white {
				label *= 255
			}
			m.Pix[p], known = label, known || has
		}
		if known {
			writeGrey(t, filepath.Join(dir, fmt.Sprintf("%04d.png", i)), m)
		}
	}
	truth, err := stream.OpenTruth(dir)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

func writeGrey(t *testing.T, path string, m *image.Gray) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// run evaluates the sequence at ten frames per second.
func (s *sequence) run(t *testing.T, latency time.Duration) stream.Result {
	t.Helper()
	if s.mapW == 0 {
		s.mapW, s.mapH = s.w, s.h
	}
	i := -1
	encode := func(context.Context, *ingest.Frame) (*detector.Encoding, error) {
		i++
		return &detector.Encoding{}, nil
	}
	score := func(context.Context, *method.Encoded) (*detector.Map, error) {
		m := &detector.Map{Width: s.mapW, Height: s.mapH, Threshold: s.threshold}
		for p := range s.mapW * s.mapH {
			m.Values = append(m.Values, s.z(i, p%s.mapW, p/s.mapW))
		}
		return m, nil
	}
	truth, ood := s.masks(t), uint8(1)
	if label, found, err := truth.FindOOD(); err != nil || found != s.white {
		t.Fatalf("FindOOD() = %d, %v, %v", label, found, err)
	} else if found {
		ood = label
	}
	told := 0
	results, err := stream.Evaluate(t.Context(), s, truth, encode, []method.Row{{Method: "z", Score: score}},
		stream.Options{FPS: 10, Latency: latency, OOD: ood, Estimate: func(method.Estimate) { told++ }, Tracker: events.DefaultConfig(), Thresholds: []float32{8, 12}, Carry: s.carry})
	if err != nil {
		t.Fatal(err)
	}
	if told != 1 {
		t.Errorf("estimated %d times", told)
	}
	return results[0]
}

func object(is bool) (uint8, bool) {
	if is {
		return 1, true
	}
	return 0, true
}

// Masks of 0 and 255 give what masks of 0 and 1 give.
func TestWhiteMasks(t *testing.T) {
	s := &sequence{
		w: 6, h: 1, n: 6,
		truth: func(i, x, _ int) (uint8, bool) { return object(x == i) },
		z:     func(i, x, _ int) float32 { return float32(x * i % 5) },
	}
	want := s.run(t, 0)
	s.white = true
	if d := cmp.Diff(want, s.run(t, 0)); d != "" {
		t.Error(d)
	}
}

// The maps of an object of one pixel are perfect; only latency makes them wrong.
func TestStreamingAP(t *testing.T) {
	moves := &sequence{ // the object is at pixel i in frame i
		w: 6, h: 1, n: 6,
		truth: func(i, x, _ int) (uint8, bool) { return object(x == i) },
		z: func(i, x, _ int) float32 {
			if x == i {
				return 1
			}
			return 0
		},
	}
	jumps := &sequence{ // at pixel 0 in frames 0 to 3, then at pixel 1
		w: 4, h: 1, n: 8,
		truth: func(i, x, _ int) (uint8, bool) { return object(x == i/4) },
		z: func(i, x, _ int) float32 {
			if x == i/4 {
				return 1
			}
			return 0
		},
	}
	const frame = 100 * time.Millisecond
	cases := []struct {
		name    string
		clip    *sequence
		latency time.Duration
		want    stream.Streaming
	}{
		{"no latency is offline", moves, 0, stream.Streaming{Rates: stream.Rates{AP: 1, AUROC: 1}, Scored: 1}},
		{
			// The 6 anomalous pixels have score 0; 5 normal ones have score 1 and 25 have 0: AP = 6/36, AUROC = 25/2/30. Frame
			// 0 has no map.
			"one frame late", moves, frame,
			stream.Streaming{Rates: stream.Rates{AP: 1. / 6, AUROC: 12.5 / 30}, Scored: 1, Without: 1. / 6, AgeMS: 100},
		},
		{
			// Any latency of up to a frame makes a map one frame late.
			"a hair late", moves, 1, stream.Streaming{
				Rates: stream.Rates{AP: 1. / 6, AUROC: 12.5 / 30}, Scored: 1, Without: 1. / 6, AgeMS: 100,
			},
		},
		{
			// Frames 0, 2, 5 and 7 are scored, and done at 2.5, 5, 7.5 and 10. Frames 0 to 2 see no map, 3 and 4 the map of 0,
			// 5 to 7 the map of 2, which is done when 5 comes. Score 1: one hit (frame 3) and 4 false; score 0: 7 and 20.
			// AP = 1/8·1/5 + 7/8·8/32; AUROC = (1·(4/2+20) + 7·20/2)/(8·24). Ages 3 + 4 + 3 + 4 + 5 frames.
			"busy scorer drops the oldest", jumps, 250 * time.Millisecond,
			stream.Streaming{Rates: stream.Rates{AP: 0.24375, AUROC: 92. / 192}, Scored: 0.5, Without: 3. / 8, AgeMS: 380},
		},
		{
			"never done", jumps, time.Hour, stream.Streaming{Rates: stream.Rates{AP: 0.25, AUROC: 0.5}, Scored: 0.25, Without: 1},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := c.clip.run(t, c.latency)
			if got.Offline.AP != 1 || got.Offline.AUROC != 1 || got.LatencyMS != nil || got.Events != nil {
				t.Errorf("offline %+v, latency %v, events %v", got.Offline, got.LatencyMS, got.Events)
			}
			diff := cmp.Diff(c.want, got.Streaming, cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreFields(stream.Rates{}, "FPR95"))
			if diff != "" {
				t.Error(diff)
			}
		})
	}
}

// With a truth of times, each frame counts once, by its highest value.
func TestStreamingFrameLevel(t *testing.T) {
	s := &sequence{
		w: 4, h: 4, n: 10, threshold: 5, spans: []stream.Span{{From: 200 * time.Millisecond, To: 500 * time.Millisecond}},
		z: func(i, x, y int) float32 {
			if x == 1 && y == 1 {
				return float32(i % 5) // 2, 3, 4 in frames 2, 3, 4, which are anomalous, and in frames 7, 8, 9, which are not
			}
			return -1
		},
	}
	got := s.run(t, 0)
	// Sorted: {4, 4}, {3, 3}, {2, 2}, each with one anomalous frame; AP = 1/2.
	if got.Level != stream.FrameLevel || got.Offline.AP != 0.5 || got.Labelled != 10 || got.Seconds != 1 {
		t.Errorf("%+v", got)
	}
	if got.Events == nil || got.Events.Objects != 1 || got.Events.Found != 0 {
		t.Errorf("events %+v", got.Events)
	}
}

// An event that starts before a span does not find it, even if it lasts into the span.
func TestEventsByTime(t *testing.T) {
	s := &sequence{
		w: 16, h: 16, n: 100, threshold: 5,
		spans: []stream.Span{{From: 2 * time.Second, To: 4 * time.Second}, {From: 6 * time.Second, To: 9 * time.Second}},
		z: func(i, x, _ int) float32 {
			if i < 40 && x < 4 || i >= 65 && i < 85 && x >= 12 {
				return 9
			}
			return 0
		},
	}
	got := s.run(t, 0).Events
	if got.Events != 2 || got.False != 1 || got.Found != 1 || got.Truth[0].Delay != nil || got.Alarms[0].From > 2 {
		t.Errorf("%+v, want the second span found and the first event false", got)
	}
}

// The picture stands still except for one block, and the truth except for another.
func TestFlicker(t *testing.T) {
	s := &sequence{
		w: 48, h: 32, n: 3, mapW: 3, mapH: 2, // cells are blocks
		picture: func(i, x, y int) byte {
			if i == 2 && x < 16 && y < 16 {
				return byte(200 - x*y%90) // changed
			}
			return byte(10 + x*y%90 + i) // the whole picture brightens by one level per frame, which counts as still
		},
		truth: func(i, x, y int) (uint8, bool) { return object(x >= 32 && y >= 16 && i == 1 || x == 20) },
		z: func(i, x, y int) float32 {
			if i == 1 {
				return float32(1 + x + 3*y)
			}
			return 0
		},
	}
	got := s.run(t, 0).Temporal
	// From 0 to 1 five blocks count, with differences 1 to 5; from 1 to 2 four, with 2 to 5.
	want := math.Sqrt((1 + 2*(4+9+16+25)) / 9.)
	if got.Static != 9 || math.Abs(got.Flicker-want) > 1e-6 || got.Moved != 0 || got.MotionIoU != 0 {
		t.Errorf("%+v, want flicker %v over 9 blocks", got, want)
	}
}

// Maps that flicker on a still picture do not, once they are carried.
func TestCarriedMapsDoNotFlicker(t *testing.T) {
	s := &sequence{
		w: 64, h: 48, n: 9, mapW: 8, mapH: 6,
		picture: func(_, x, y int) byte { return byte(100 + 40*(x/8%2) + 5*y%50) },
		truth:   func(_, x, _ int) (uint8, bool) { return object(x < 3) },
		z:       func(i, _, _ int) float32 { return float32(3 * (1 - i%2)) },
	}
	if got := s.run(t, 0).Temporal; math.Abs(got.Flicker-3) > 1e-6 {
		t.Errorf("without: %+v", got)
	}
	s.carry = time.Second
	// 3 falls to 3e^(-1/10) and rises again, eight times.
	want := 3 * (1 - math.Exp(-0.1))
	if got := s.run(t, 0).Temporal; math.Abs(got.Flicker-want) > 0.01 {
		t.Errorf("carried: %+v, want flicker %v", got, want)
	}
}

// A texture and its map move six pixels to the right, and the map also rises by one deviation.
func TestMotion(t *testing.T) {
	texture := func(x, y int) byte { return byte((x*7919 ^ y*104729 ^ x*y*31) >> 2) }
	s := &sequence{
		w: 96, h: 48, n: 2, mapW: 6, mapH: 3, threshold: 2,
		picture: func(i, x, y int) byte { return texture((x+600-6*i)/2, y/2) },
		truth:   func(_, x, _ int) (uint8, bool) { return object(x < 3) },
		z:       func(i, x, _ int) float32 { return float32(16*x+8-6*i)/10 + float32(i) },
	}
	got := s.run(t, 0).Temporal
	// The first column is new and has no match; 5×3 blocks have one. There the previous map was lower by 1 along the motion
	// and by 0.4 at the same position. Above 2 are all of 2.8, 4.4, … now, and all but one of 1.8, 3.4, … before.
	want := stream.Temporal{Motion: 1, Unwarped: 0.4, Moved: 15, MotionIoU: 0.8}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Error(diff)
	}
}

// Real trackers on constructed maps: one object is found and one is missed, one event is false, and an event that covers the
// picture while a small object is there hits nothing.
func TestStreamEvents(t *testing.T) {
	in := func(x, y, x0, y0, x1, y1 int) bool { return x0 <= x && x < x1 && y0 <= y && y < y1 }
	s := &sequence{
		w: 64, h: 64, n: 200, threshold: 4,
		truth: func(i, x, y int) (uint8, bool) {
			switch {
			case i >= 10 && i < 35: // moves, with its middle behind a post, and is hidden for 0.3 s
				return object(in(x, y, i, 20, i+12, 32) && x != 24 && (i < 20 || i >= 23))
			case i >= 60 && i < 80:
				return object(in(x, y, 40, 40, 50, 50))
			case i >= 140 && i < 160:
				return object(in(x, y, 8, 8, 14, 14))
			default:
				return object(false)
			}
		},
		z: func(i, x, y int) float32 {
			if i >= 10 && i < 35 && in(x, y, i-2, 18, i+14, 34) || i >= 100 && i < 115 && in(x, y, 30, 5, 40, 15) ||
				i >= 140 && i < 160 {
				return 9
			}
			return 0
		},
	}
	res := s.run(t, 0)
	if len(res.Sweep) != 2 || res.Sweep[0].Found != 1 || res.Sweep[0].False != 2 || res.Sweep[1].Events != 0 ||
		res.Sweep[1].Threshold != 12 {
		t.Errorf("thresholds 8 and 12: %+v, want the same events at 8 and none at 12, for values of 9", res.Sweep)
	}
	got := res.Events
	if got.Objects != 3 || got.Found != 1 || got.Events != 3 || got.False != 2 || got.Unjudged != 0 {
		t.Errorf("%+v, want 1 of 3 objects found, 2 of 3 events false", got)
	}
	if got.FalsePerHour != 2*180 || math.Abs(got.Recall-1./3) > 1e-12 || got.Threshold != 4 {
		t.Errorf("%+v, want 2 false alarms in 20 s", got)
	}
	if got.DelayP50 <= 0 || got.DelayP50 > 2 || got.DelayP50 != got.DelayMax {
		t.Errorf("delay %v and %v s, want one of about the tracker's shortest duration", got.DelayP50, got.DelayMax)
	}
	first, second := got.Truth[0], got.Truth[1]
	if first.From != 1 || first.To != 3.4 || first.Delay == nil || second.From != 6 || second.Delay != nil {
		t.Errorf("objects %+v, want one from 1 to 3.4 s, found, and one from 6 s, missed", got.Truth)
	}
	box := events.Box{X: 30. / 64, Y: 5. / 64, Width: 10. / 64, Height: 10. / 64}
	if a := got.Alarms; len(a) != 2 || a[0].From < 10 || a[0].To > 12.5 || a[0].Peak != 9 || a[0].Box != box {
		t.Errorf("false alarms %+v, want one at %+v between 10 and 12.5 s first", a, box)
	}
	if late := s.run(t, 80*time.Millisecond).Events; math.Abs(late.DelayP50-got.DelayP50-0.08) > 1e-9 {
		t.Errorf("delay %v s when maps take 80 ms, %v when they take none", late.DelayP50, got.DelayP50)
	}
}

// The region of a resting object vanishes until its event ends, so the object passes to a second event. A third event that
// also covers the object does not make it switch again.
func TestStreamIDSwitches(t *testing.T) {
	s := &sequence{
		w: 64, h: 64, n: 150, threshold: 4,
		truth: func(_, x, y int) (uint8, bool) { return object(x >= 10 && x < 40 && y >= 20 && y < 40) },
		z: func(i, x, y int) float32 {
			left, right := x >= 12 && x < 20, x >= 30 && x < 38
			if y >= 22 && y < 38 && (left && (i < 20 || i >= 40) || right && i >= 100) {
				return 9
			}
			return 0
		},
	}
	got := s.run(t, 0).Events
	if got.Objects != 1 || got.Events != 3 || got.Switches != 1 {
		t.Errorf("%+v, want one object, three events and one switch", got)
	}
}

// Frames without truth do not count: an event there is neither right nor false.
func TestSparseTruth(t *testing.T) {
	s := &sequence{
		w: 32, h: 32, n: 60, threshold: 4,
		truth: func(i, x, _ int) (uint8, bool) {
			label, _ := object(x < 8 && i < 20)
			return label, i%5 == 0 && i < 40
		},
		z: func(i, x, _ int) float32 {
			if i < 20 && x < 8 || i >= 42 && x >= 24 {
				return 9
			}
			return 0
		},
	}
	got := s.run(t, 0)
	if got.Labelled != 8 || got.Frames != 60 || got.Offline.AP != 1 {
		t.Errorf("%+v", got)
	}
	if e := got.Events; e.Objects != 1 || e.Found != 1 || e.False != 0 || e.Events != 2 || e.Unjudged != 1 {
		t.Errorf("%+v", e)
	}
}

func TestStreamRefusesForeignTruth(t *testing.T) {
	clip := &sequence{w: 8, h: 8, n: 3}
	row := method.Row{Score: func(context.Context, *method.Encoded) (*detector.Map, error) {
		return &detector.Map{Width: 8, Height: 8, Values: make([]float32, 64)}, nil
	}}
	encode := func(context.Context, *ingest.Frame) (*detector.Encoding, error) { return &detector.Encoding{}, nil }
	for _, c := range []struct {
		name, mask string
		side       int
		want       error
	}{{"beyond the end", "3.png", 8, stream.ErrTruth}, {"of another size", "1.png", 4, dataset.ErrLabels}} {
		dir := t.TempDir()
		writeGrey(t, filepath.Join(dir, c.mask), image.NewGray(image.Rect(0, 0, c.side, c.side)))
		truth, err := stream.OpenTruth(dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Evaluate(t.Context(), clip, truth, encode, []method.Row{row}, stream.Options{OOD: 1}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestOpenTruth(t *testing.T) {
	folder := func(names ...string) string {
		dir := t.TempDir()
		for _, n := range names {
			writeGrey(t, filepath.Join(dir, n), image.NewGray(image.Rect(0, 0, 1, 1)))
		}
		return dir
	}
	truth, err := stream.OpenTruth(folder("000012.png", "cam2_7_mask.png"))
	if err != nil {
		t.Fatal(err)
	}
	frames := []int{}
	for i := range truth.Masks {
		frames = append(frames, i)
	}
	slices.Sort(frames)
	if !slices.Equal(frames, []int{7, 12}) {
		t.Errorf("frames %v, want 7 and 12", frames)
	}
	for _, path := range []string{folder(), folder("mask.png"), folder("1.png", "a001.png"), filepath.Join(folder(), "none")} {
		if _, err := stream.OpenTruth(path); !errors.Is(err, stream.ErrTruth) {
			t.Errorf("%s: %v, want %v", path, err, stream.ErrTruth)
		}
	}
}
