package detector

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// testROI is the left half of the image with a hole in it.
func testROI() ROI {
	return ROI{
		Include: []Polygon{{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}},
		Exclude: []Polygon{{{0.25, 0.25}, {0.5, 0.25}, {0.5, 0.75}, {0.25, 0.75}}},
	}
}

func TestROIValidate(t *testing.T) {
	nan := math.NaN()
	square := Polygon{{0.1, 0.1}, {0.9, 0.1}, {0.9, 0.9}, {0.1, 0.9}}
	for _, tt := range []struct {
		name string
		roi  ROI
		want string
	}{
		{"none", ROI{}, ""},
		{"both", testROI(), ""},
		{"exclude alone", ROI{Exclude: []Polygon{square}}, ""},
		{"two corners", ROI{Include: []Polygon{{{0, 0}, {1, 1}}}}, "detector.roi.include[0]: got 2 corners, want 3..256"},
		{
			"outside",
			ROI{Exclude: []Polygon{square, {{0, 0}, {1, 0}, {640, 480}}}},
			"detector.roi.exclude[1]: corner 2: got [640, 480], want fractions of the width and height, 0..1",
		},
		{
			"NaN",
			ROI{Include: []Polygon{{{0, 0}, {1, nan}, {1, 1}}}},
			"detector.roi.include[0]: corner 1: got [1, NaN], want fractions of the width and height, 0..1",
		},
		{
			"line",
			ROI{Include: []Polygon{{{0, 0}, {0.5, 0.5}, {1, 1}}}},
			"detector.roi.include[0]: got an area of 0 of the image, want at least 1e-05",
		},
		{
			"bow tie",
			ROI{Include: []Polygon{{{0, 0}, {1, 1}, {1, 0}, {0, 1}}}},
			"detector.roi.include[0]: the edges from corner 0 and from corner 2 cross, want corners in order around the region",
		},
		{
			"nothing left",
			ROI{Include: []Polygon{square}, Exclude: []Polygon{{{0, 0}, {1, 0}, {1, 1}, {0, 1}}}},
			"detector.roi: got polygons that leave nothing of the image, want a thousandth of it or more",
		},
	} {
		got := ""
		if err := tt.roi.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: Validate() = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestROIMask(t *testing.T) {
	m := testROI().Mask(8, 4)
	want := []int{ // the left half without its right middle
		1, 1, 1, 1, 0, 0, 0, 0,
		1, 1, 0, 0, 0, 0, 0, 0,
		1, 1, 0, 0, 0, 0, 0, 0,
		1, 1, 1, 1, 0, 0, 0, 0,
	}
	for i, in := range m.Inside {
		if in != (want[i] == 1) {
			t.Errorf("cell %d,%d: inside %v, want %v", i%8, i/8, in, want[i] == 1)
		}
	}
	if m.Count() != 12 {
		t.Errorf("Count() = %d, want 12", m.Count())
	}
	if got, want := m.Bits(), []byte{0x0f, 0x03, 0x03, 0x0f}; !slices.Equal(got, want) {
		t.Errorf("Bits() = %x, want %x", got, want)
	}
	// On a fine grid, the share of cells inside approaches the area of the polygon.
	triangle := ROI{Include: []Polygon{{{0.1, 0.2}, {0.9, 0.4}, {0.3, 0.95}}}}
	fine := triangle.Mask(400, 300)
	if got, want := float64(fine.Count())/(400*300), triangle.Include[0].area(); math.Abs(got-want) > 0.002 {
		t.Errorf("share of cells %.4f, want the area %.4f", got, want)
	}
}

// Every token that bilinear upsampling reads for a cell inside must be scored.
func TestROITokensCoverTheMask(t *testing.T) {
	for _, grid := range [][4]int{{16, 8, 8, 4}, {60, 34, 30, 17}, {128, 64, 64, 32}, {17, 5, 17, 5}, {9, 9, 40, 30}} {
		w, h := grid[2], grid[3]
		mask := testROI().Mask(grid[0], grid[1])
		list := mask.tokens(w, h)
		xs, ys := newAxis(w, mask.Width), newAxis(h, mask.Height)
		for i, in := range mask.Inside {
			if !in {
				continue
			}
			x, y := xs.at[i%mask.Width], ys.at[i/mask.Width]
			for _, token := range []int{y*w + x, y*w + min(x+1, w-1), min(y+1, h-1)*w + x} {
				if _, found := slices.BinarySearch(list, token); !found {
					t.Fatalf("grid %v: cell %d needs token %d, which is left out", grid, i, token)
				}
			}
		}
	}
}

// subsetScorer is a gaussScorer that can leave tokens out and counts the scores that it computes.
type subsetScorer struct {
	gaussScorer
	rows int
}

func (s *subsetScorer) ScoreAllTo(dst, features [][]float32, tokens, timesteps []int) error {
	for p := range features {
		n := len(features[p]) / 3
		all := make([]float32, n*len(timesteps))
		if err := s.ScoreTo(all, features[p], n, timesteps); err != nil {
			return err
		}
		if tokens == nil {
			copy(dst[p], all)
		}
		for k := range timesteps {
			for i, token := range tokens {
				dst[p][k*len(tokens)+i] = all[k*n+token]
			}
		}
		s.rows += len(dst[p])
	}
	return nil
}

func TestROIJudgesOnlyTheInside(t *testing.T) {
	odd := cells{80, 16, 112, 48} // in the right half
	whole, err := testDetector(t, nil).Score(t.Context(), noiseFrame(100, odd))
	if err != nil {
		t.Fatal(err)
	}
	cal := testCalibration(t)
	scorer := &subsetScorer{gaussScorer: gaussScorer{diffusion.NewSchedule()}}
	cfg := DefaultConfig()
	cfg.ROI = testROI()
	d, err := New(&meanEncoder{}, scorer, testManifest(), cal, "cpu", cfg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.Score(t.Context(), noiseFrame(100, odd))
	if err != nil {
		t.Fatal(err)
	}
	if scorer.rows == 0 || scorer.rows >= 32*len(testOrder()) {
		t.Errorf("%d of %d rows were scored, want only those that contribute to the region", scorer.rows, 32*len(testOrder()))
	}
	least, peak, sum := float32(math.Inf(1)), float32(math.Inf(-1)), 0.0
	for i, v := range m.Values {
		if !m.Judged(i) {
			continue
		}
		if v != whole.Values[i] {
			t.Errorf("cell %d inside = %v, want %v as without a region of interest", i, v, whole.Values[i])
		}
		least, peak, sum = min(least, v), max(peak, v), sum+float64(v)
	}
	for i, v := range m.Values {
		if !m.Judged(i) && v != least {
			t.Errorf("cell %d outside = %v, want the smallest value inside, %v", i, v, least)
		}
	}
	if want := float32(sum / float64(m.JudgedCells())); m.Peak != peak || m.Mean != want || whole.Peak <= peak {
		t.Errorf("peak %v and mean %v, want %v and %v of the inside; the whole picture's peak is %v",
			m.Peak, m.Mean, peak, want, whole.Peak)
	}
	again, err := d.Score(t.Context(), noiseFrame(101, odd))
	if err != nil || again.ROI != m.ROI {
		t.Errorf("error %v, or the mask was rasterised again: want once per size", err)
	}
}

func TestROIWithoutACell(t *testing.T) {
	cfg := DefaultConfig()
	cfg.ROI = ROI{Include: []Polygon{{{0.01, 0.01}, {0.05, 0.01}, {0.05, 0.05}, {0.01, 0.05}}}}
	d, err := New(&meanEncoder{}, gaussScorer{diffusion.NewSchedule()}, testManifest(), testCalibration(t), "cpu", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Score(t.Context(), noiseFrame(1, cells{})); !errors.Is(err, ErrSetting) {
		t.Errorf("Score() = %v, want %v, because the region contains no cell of 16×8", err, ErrSetting)
	}
}
