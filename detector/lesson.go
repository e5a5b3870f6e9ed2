package detector

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"github.com/oodcast/oodcast/models"
)

// Lesson is something that somebody said is normal: the features of a part of a picture. It holds only at its place, give
// or take a token, and only for features close to those that were shown. So another thing at the same place is as strange as
// before, and so is the same thing elsewhere.
type Lesson struct {
	Bundle   string `json:"bundle"` // SHA-256 of the encoder whose features these are
	Width    int    `json:"width"`  // of the token grid
	Height   int    `json:"height"`
	Channels int    `json:"channels"`
	Tokens   []int  `json:"tokens"` // indices on the grid, ascending
	// Mean and Deviation are those of each channel over the picture that was shown.
	Mean      []float32 `json:"mean"`
	Deviation []float32 `json:"deviation"`
	Features  []float32 `json:"features"` // len(Tokens) × Channels, less Mean, over Deviation
}

// Limits of lessons, which bound what a wrong one can hide.
const (
	// MaxLessons is the largest number of lessons of one camera.
	MaxLessons = 64
	// lessonShare is the largest share of the picture that one lesson may cover.
	lessonShare = 0.1
	// lessonReach is how many tokens a thing may have moved since it was shown.
	lessonReach = 1
	// lessonLike is how far a feature may be from one that was shown, relative to the longer of both. docs/operation.md has
	// the measurement behind it.
	lessonLike = 0.65
)

// ErrLesson reports that a lesson cannot be taken from a picture.
var ErrLesson = errors.New("detector: nothing to learn")

// lessons are those in force.
type lessons struct {
	list   []*Lesson
	reach  [][]reach // by lesson
	cut    []bool    // by token, of the current picture
	scaled []float32
}

// reach is a token and the tokens of a lesson within reach of it, as indices in Lesson.Tokens.
type reach struct {
	token int
	shown []int
}

// SetLessons replaces the lessons from the next frame on. Those from another encoder's features have no effect. It may be
// called while a frame is scored.
func (d *Detector) SetLessons(list []*Lesson) {
	s := &lessons{list: d.known(list)}
	for _, l := range s.list {
		s.reach = append(s.reach, l.tokensInReach())
	}
	d.lessons.Store(s)
}

// known returns the lessons about features of the detector's encoder.
func (d *Detector) known(list []*Lesson) []*Lesson {
	return slices.DeleteFunc(slices.Clone(list), func(l *Lesson) bool { return !d.Knows(l) })
}

// Knows reports whether a lesson is about features of the detector's encoder.
func (d *Detector) Knows(l *Lesson) bool {
	return l.Bundle == d.manifest.Files[models.EncoderFile].SHA256
}

// tokensInReach returns the tokens that the lesson is about, in order.
func (l *Lesson) tokensInReach() (list []reach) {
	near := map[int][]int{}
	for n, token := range l.Tokens {
		around(token, l.Width, l.Height, lessonReach, func(t int) { near[t] = append(near[t], n) })
	}
	for _, t := range slices.Sorted(maps.Keys(near)) {
		list = append(list, reach{t, near[t]})
	}
	return list
}

// fits reports whether the lesson is about features on the grid of an encoding.
func (l *Lesson) fits(enc *Encoding) bool {
	return l.Width == enc.Width && l.Height == enc.Height && l.Channels == enc.Channels
}

// apply makes the cells of tokens that were said to be normal normal, which is 0. It returns the number of those tokens.
func (s *lessons) apply(values []float32, width, height int, enc *Encoding) (tokens int) {
	if s == nil || len(s.list) == 0 {
		return 0
	}
	s.cut = grow(s.cut, enc.Width*enc.Height)
	clear(s.cut)
	for i, l := range s.list {
		if !l.fits(enc) {
			continue
		}
		for _, r := range s.reach[i] {
			if !s.cut[r.token] && l.knows(&s.scaled, enc.Features[r.token*enc.Channels:][:enc.Channels], r.shown) {
				s.cut[r.token] = true
				tokens++
			}
		}
	}
	if tokens == 0 {
		return 0
	}
	for y := range height {
		row := y * enc.Height / height * enc.Width
		for x := range width {
			if s.cut[row+x*enc.Width/width] {
				values[y*width+x] = min(0, values[y*width+x])
			}
		}
	}
	return tokens
}

// knows reports whether a feature is close to one of those that were shown.
func (l *Lesson) knows(scaled *[]float32, feature []float32, shown []int) bool {
	f := l.scaleTo(scaled, feature)
	length := dot(f, f)
	return slices.ContainsFunc(shown, func(n int) bool {
		e := l.Features[n*l.Channels:][:l.Channels]
		long := dot(e, e)
		return length+long-2*dot(f, e) <= lessonLike*lessonLike*max(length, long)
	})
}

// scaleTo stores a feature minus the mean of the picture, over its deviation, in *dst: features may have an offset in common
// or channels of very different sizes.
func (l *Lesson) scaleTo(dst *[]float32, feature []float32) []float32 {
	*dst = grow(*dst, len(feature))
	for c, v := range feature {
		(*dst)[c] = (v - l.Mean[c]) / l.Deviation[c]
	}
	return *dst
}

func dot(a, b []float32) (sum float64) {
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// around calls f for the tokens within reach of one, itself included.
func around(token, width, height, reach int, f func(token int)) {
	x0, y0 := token%width, token/width
	for y := max(0, y0-reach); y <= min(height-1, y0+reach); y++ {
		for x := max(0, x0-reach); x <= min(width-1, x0+reach); x++ {
			f(y*width + x)
		}
	}
}

// Cut takes the lesson of a box, in fractions of the picture, from the newest map's frame. The tokens around the box belong
// to it, because a thing changes the features next to it.
func (d *Detector) Cut(x, y, width, height float64) (*Lesson, error) {
	g := &d.newest
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Width == 0 {
		return nil, fmt.Errorf("%w: no picture yet", ErrLesson)
	}
	l := &Lesson{Bundle: d.manifest.Files[models.EncoderFile].SHA256, Width: g.Width, Height: g.Height, Channels: g.Channels}
	x0, x1 := tokensOf(x, width, g.Width)
	y0, y1 := tokensOf(y, height, g.Height)
	if n := (x1 - x0) * (y1 - y0); float64(n) > max(lessonShare*float64(g.Width*g.Height), 9) {
		return nil, fmt.Errorf("%w: the region is %.0f %% of the picture, want at most %.0f %%: fit the bundle to this camera instead",
			ErrLesson, 100*float64(n)/float64(g.Width*g.Height), 100*lessonShare)
	}
	l.Mean, l.Deviation = g.moments()
	var scaled []float32
	for ty := y0; ty < y1; ty++ {
		for tx := x0; tx < x1; tx++ {
			t := ty*g.Width + tx
			l.Tokens = append(l.Tokens, t)
			l.Features = append(l.Features, l.scaleTo(&scaled, g.Features[t*g.Channels:][:g.Channels])...)
		}
	}
	return l, nil
}

// newest are the features of the newest map's frame.
type newest struct {
	mu                      sync.Mutex
	Width, Height, Channels int
	Features                []float32
	mean, deviation         []float32 // of each channel; nil until they are wanted
}

// keep copies the features of a frame: the encoder reuses its own.
func (g *newest) keep(enc *Encoding) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.Width, g.Height, g.Channels = enc.Width, enc.Height, enc.Channels
	g.Features = append(g.Features[:0], enc.Features...)
	g.mean, g.deviation = nil, nil
}

// moments returns the mean and the standard deviation of each channel; a channel that does not vary has deviation 1.
func (g *newest) moments() (mean, deviation []float32) {
	if g.mean != nil {
		return g.mean, g.deviation
	}
	n := float64(g.Width * g.Height)
	for c := range g.Channels {
		sum, squares := 0.0, 0.0
		for i := c; i < len(g.Features); i += g.Channels {
			v := float64(g.Features[i])
			sum, squares = sum+v, squares+v*v
		}
		d := math.Sqrt(max(0, squares/n-sum*sum/(n*n)))
		if d < 1e-9 {
			d = 1
		}
		g.mean, g.deviation = append(g.mean, float32(sum/n)), append(g.deviation, float32(d))
	}
	return g.mean, g.deviation
}

// tokensOf returns the tokens of a row that from … from+length covers, and one more on each side.
func tokensOf(from, length float64, n int) (first, end int) {
	first = int(math.Floor(from * float64(n)))
	end = int(math.Ceil((from + length) * float64(n)))
	return max(0, min(first-lessonReach, n-1)), max(1, min(end+lessonReach, n))
}

// Explains returns the share of another lesson's tokens that this one makes normal: what it would have done to an event.
func (l *Lesson) Explains(o *Lesson) float64 {
	if l.Bundle != o.Bundle || l.Width != o.Width || l.Height != o.Height || l.Channels != o.Channels || len(o.Tokens) == 0 {
		return 0
	}
	near, n := l.tokensInReach(), 0
	var raw, scaled []float32
	for i, token := range o.Tokens {
		at, found := slices.BinarySearchFunc(near, token, func(r reach, t int) int { return r.token - t })
		if !found {
			continue
		}
		raw = grow(raw, o.Channels)
		for c, v := range o.Features[i*o.Channels:][:o.Channels] {
			raw[c] = v*o.Deviation[c] + o.Mean[c]
		}
		if l.knows(&scaled, raw, near[at].shown) {
			n++
		}
	}
	return float64(n) / float64(len(o.Tokens))
}

// Validate checks a lesson that comes from a file.
func (l *Lesson) Validate() error {
	switch {
	case l == nil || l.Width < 1 || l.Height < 1 || l.Channels < 1 || l.Width > 1<<12 || l.Height > 1<<12 || l.Channels > 1<<14:
		return errors.New("detector: lesson: got no grid")
	case len(l.Mean) != l.Channels || len(l.Deviation) != l.Channels || slices.ContainsFunc(l.Deviation, func(v float32) bool { return !(v > 0) }):
		return fmt.Errorf("detector: lesson: got no moments of %d channels", l.Channels)
	case len(l.Tokens) == 0 || len(l.Features) != len(l.Tokens)*l.Channels:
		return fmt.Errorf("detector: lesson: got %d features, want %d times %d", len(l.Features), len(l.Tokens), l.Channels)
	case !slices.IsSorted(l.Tokens) || l.Tokens[0] < 0 || l.Tokens[len(l.Tokens)-1] >= l.Width*l.Height:
		return errors.New("detector: lesson: got tokens outside the grid, or in disorder")
	}
	return nil
}
