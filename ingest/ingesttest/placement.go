package ingesttest

import (
	"image"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/image/vector"
)

// Waypoint is where an object is at one moment, in fractions of the picture: the middle of its lower edge, and its height.
type Waypoint struct {
	X, Y, Height float64
}

// Placement says where and when an object is pasted into a clip.
type Placement struct {
	Object   string
	From, To int // From is the first frame with the object, To the first frame without it again
	// Path is the object's way, in straight lines that take equal times. Between equal waypoints the object rests; waypoints
	// outside the picture let it enter or leave.
	Path []Waypoint
}

// at returns where the object is in frame i.
func (p Placement) at(i int) Waypoint {
	legs := len(p.Path) - 1
	if legs < 1 {
		return p.Path[0]
	}
	s := float64(legs*(i-p.From)) / float64(max(p.To-p.From-1, 1))
	leg := min(int(s), legs-1)
	s -= float64(leg)
	a, b := p.Path[leg], p.Path[leg+1]
	return Waypoint{a.X + (b.X-a.X)*s, a.Y + (b.Y-a.Y)*s, a.Height + (b.Height-a.Height)*s}
}

// Occluder is a thing in the footage that hides objects that are farther away.
type Occluder struct {
	// Outline is x, y, x, y, … in fractions of the picture.
	Outline []float32
	// Foot is where the thing stands on the ground, as a fraction of the picture's height: objects whose lower edge is above
	// it pass behind the thing.
	Foot float64
}

// VTestForeground returns the foreground of VTest: the lamp post in front of the pavement, and the sign on it.
func VTestForeground() []Occluder {
	return []Occluder{
		{Outline: []float32{0.551, 0.06, 0.560, 0.06, 0.571, 0.69, 0.556, 0.69}, Foot: 0.69},
		{Outline: []float32{0.536, 0.348, 0.581, 0.348, 0.581, 0.428, 0.536, 0.428}, Foot: 0.69},
	}
}

// mask draws the thing: opaque inside its outline.
func (o Occluder) mask(w, h int) *image.Alpha {
	raster := vector.NewRasterizer(w, h)
	for i := 0; i+1 < len(o.Outline); i += 2 {
		x, y := o.Outline[i]*float32(w), o.Outline[i+1]*float32(h)
		if i == 0 {
			raster.MoveTo(x, y)
		} else {
			raster.LineTo(x, y)
		}
	}
	raster.ClosePath()
	m := image.NewAlpha(image.Rect(0, 0, w, h))
	raster.Draw(m, m.Rect, image.Opaque, image.Point{})
	return m
}

// Places returns n objects that come one after the other between the frames from and to; for a fifth of the time there is
// none. They are about as large as people, and larger the nearer they are. They come in four ways in turn: one appears,
// rests and moves on; one walks in at the left or right border, which cuts it; one crosses the middle, behind the
// foreground; one comes nearer and grows. They are of the named objects, or of all. The result depends on nothing but the
// arguments.
func Places(seed uint64, n, from, to int, names ...string) []Placement {
	random := rand.New(rand.NewPCG(seed, 0x6f6f64))
	between := func(a, b float64) float64 { return a + (b-a)*random.Float64() }
	if names = slices.Clone(names); len(names) == 0 {
		names = ObjectNames()
	}
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	places := make([]Placement, 0, n)
	slot := float64(to-from) / float64(n)
	const visible = 0.8
	for i := range n {
		begin := float64(from) + (float64(i)+0.5*(1-visible))*slot
		size := between(0.14, 0.24)
		// point is on the ground. Nearer objects are larger: two thirds down the picture, the height is size.
		point := func(x, y float64) Waypoint { return Waypoint{x, y, size * (0.4 + 0.9*y)} }
		x, y := between(0.15, 0.85), between(0.5, 0.95)
		side := math.Copysign(1, x-0.5)
		var path []Waypoint
		switch i % 4 {
		case 0:
			path = []Waypoint{point(x, y), point(x, y), point(x-side*between(0.1, 0.3), y+between(-0.08, 0.04))}
		case 1:
			out := 0.5 + 0.53*side
			path = []Waypoint{point(out, y), point(x, y+between(-0.08, 0.04)), point(out, y+between(-0.08, 0.04))}
		case 2:
			y = between(0.48, 0.66)
			path = []Waypoint{point(0.5+0.3*side, y), point(0.5-0.2*side, y+between(-0.04, 0.02))}
		case 3:
			path = []Waypoint{point(x, 0.45), point(x+between(-0.1, 0.1), between(0.85, 1))}
		}
		places = append(places, Placement{
			Object: names[i%len(names)], From: int(math.Round(begin)), To: int(math.Round(begin + visible*slot)), Path: path,
		})
	}
	return places
}

// Point is a position in fractions of the picture.
type Point struct{ X, Y float64 }

// RoadPlaces returns n objects that lie on the road ahead of a camera that drives towards the point where the road vanishes.
// An object grows as 1/distance and moves away from that point in proportion, three to six times as large at its end as at
// its beginning; the last heights spread evenly over a logarithmic scale from 10 to 100 pixels of 540. Two or three are in the
// picture at once, between the frames from and to. The result depends on nothing but the arguments.
func RoadPlaces(seed uint64, n, from, to int, vanishing Point, names []string) []Placement {
	random := rand.New(rand.NewPCG(seed, 0x726f6164))
	between := func(a, b float64) float64 { return a + (b-a)*random.Float64() }
	order := random.Perm(n) // which of the sizes comes when
	var places []Placement
	for i := range n {
		last := math.Pow(10, (float64(order[i])+random.Float64())/float64(n)) * 10 / 540
		growth := between(3, 6)
		foot := Waypoint{between(-0.35, 0.35), between(0.15, 0.4), last} // from the vanishing point
		length := int(float64(to-from) * min(1, between(2, 3)/float64(n)))
		begin := from + int(math.Round(float64(i)/float64(max(1, n-1))*float64(to-from-length)))
		pl := Placement{Object: names[random.IntN(len(names))], From: begin, To: begin + length}
		for k := range length {
			// The distance falls evenly from growth to 1.
			near := 1 / (growth + (1-growth)*float64(k)/float64(max(1, length-1)))
			pl.Path = append(pl.Path, Waypoint{vanishing.X + foot.X*near, vanishing.Y + foot.Y*near, foot.Height * near})
		}
		places = append(places, pl)
	}
	return places
}
