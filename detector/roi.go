package detector

import (
	"errors"
	"fmt"
)

// Point is a position in the image: x and y as fractions of its width and height, 0 … 1 from the top left. It is
// independent of the size of the picture.
type Point [2]float64

// Polygon is a closed outline; its last corner is joined to its first. Its edges must not cross.
type Polygon []Point

// ROI is the region of interest: the part of the image that is judged. It consists of the points in any of the Include
// polygons (in the whole image if there are none) and in none of the Exclude polygons.
type ROI struct {
	// Include holds polygons of three corners or more, [[x, y], …] with 0 ≤ x, y ≤ 1. Default none: the whole image.
	Include []Polygon `yaml:"include,omitempty,flow" json:"include,omitempty"`
	// Exclude holds polygons that are left out. Default none.
	Exclude []Polygon `yaml:"exclude,omitempty,flow" json:"exclude,omitempty"`
}

// Limits of a region of interest.
const (
	maxPolygons = 64
	maxCorners  = 256 // of one polygon
	// minPolygonArea is the smallest area of a polygon, as a fraction of the image: less is a mistake.
	minPolygonArea = 1e-5
	// roiProbe is the side of the grid on which Validate checks that anything is left: less than one of its cells is less
	// than a detector sees.
	roiProbe = 32
)

// Empty reports whether the ROI is the whole image.
func (r ROI) Empty() bool { return len(r.Include) == 0 && len(r.Exclude) == 0 }

// Validate reports all faults at once.
func (r ROI) Validate() error {
	var errs []error
	for _, list := range []struct {
		key      string
		polygons []Polygon
	}{{"include", r.Include}, {"exclude", r.Exclude}} {
		if n := len(list.polygons); n > maxPolygons {
			errs = append(errs, fmt.Errorf("detector.roi.%s: got %d polygons, want at most %d", list.key, n, maxPolygons))
			continue
		}
		for i, p := range list.polygons {
			if err := p.Validate(); err != nil {
				errs = append(errs, fmt.Errorf("detector.roi.%s[%d]: %w", list.key, i, err))
			}
		}
	}
	if len(errs) == 0 && !r.Empty() && r.Mask(roiProbe, roiProbe).count == 0 {
		errs = append(errs, errors.New("detector.roi: got polygons that leave nothing of the image, want a thousandth of it or more"))
	}
	return errors.Join(errs...)
}

// Validate reports the first fault.
func (p Polygon) Validate() error {
	if len(p) < 3 || len(p) > maxCorners {
		return fmt.Errorf("got %d corners, want 3..%d", len(p), maxCorners)
	}
	for i, c := range p {
		if !(c[0] >= 0 && c[0] <= 1 && c[1] >= 0 && c[1] <= 1) { // NaN too
			return fmt.Errorf("corner %d: got [%v, %v], want fractions of the width and height, 0..1", i, c[0], c[1])
		}
	}
	if i, j, crossing := p.crossing(); crossing {
		return fmt.Errorf("the edges from corner %d and from corner %d cross, want corners in order around the region", i, j)
	}
	if a := p.area(); a < minPolygonArea {
		return fmt.Errorf("got an area of %.2g of the image, want at least %.0e", a, minPolygonArea)
	}
	return nil
}

// area returns the area by the shoelace formula.
func (p Polygon) area() float64 {
	sum := 0.0
	for i, a := range p {
		b := p[(i+1)%len(p)]
		sum += a[0]*b[1] - b[0]*a[1]
	}
	return max(sum, -sum) / 2
}

// crossing returns the first two edges that cross without being neighbours.
func (p Polygon) crossing() (first, second int, found bool) {
	n := len(p)
	for i := range n {
		for j := i + 2; j < n; j++ {
			if i == 0 && j == n-1 {
				continue // the last and the first edge are neighbours
			}
			if crosses(p[i], p[i+1], p[j], p[(j+1)%n]) {
				return i, j, true
			}
		}
	}
	return 0, 0, false
}

// crosses reports whether the segments ab and cd have an inner point in common; touching is not crossing.
func crosses(a, b, c, d Point) bool {
	return side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0
}

// side is positive if c lies on one side of the line from a to b, negative on the other side, and 0 on the line.
func side(a, b, c Point) float64 { return (b[0]-a[0])*(c[1]-a[1]) - (b[1]-a[1])*(c[0]-a[0]) }

// Contains reports whether the point (x, y) is inside, by the even-odd rule: it counts how often a ray to the right crosses
// the outline.
func (p Polygon) Contains(x, y float64) bool {
	inside := false
	for i, a := range p {
		b := p[(i+1)%len(p)]
		if (a[1] > y) != (b[1] > y) && x < a[0]+(y-a[1])/(b[1]-a[1])*(b[0]-a[0]) {
			inside = !inside
		}
	}
	return inside
}

func (r ROI) contains(x, y float64) bool {
	for _, p := range r.Exclude {
		if p.Contains(x, y) {
			return false
		}
	}
	for _, p := range r.Include {
		if p.Contains(x, y) {
			return true
		}
	}
	return len(r.Include) == 0
}
