package events

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/scene"
)

// Category is what an event is about.
type Category string

// The categories. Those of package scene come from the picture of a fixed camera, the others from the anomaly map.
const (
	Strange   Category = "strange" // a region does not look like anything normal
	Motion    Category = "motion"  // a region is faster than what moves there normally
	Crowd     Category = "crowd"   // a region that is strange takes up much of the picture
	Left               = Category(scene.Left)
	Taken              = Category(scene.Taken)
	Covered            = Category(scene.Covered)
	Moved              = Category(scene.Moved)
	Defocused          = Category(scene.Defocused)
)

// Categories returns all categories.
func Categories() []Category {
	return []Category{Strange, Motion, Crowd, Left, Taken, Covered, Moved, Defocused}
}

// crowdArea is the fraction of the picture from which on a strange region is a Crowd.
const crowdArea = 0.25

// Zone is a part of the image with categories of its own.
type Zone struct {
	// Name is what the zone is called in events.
	Name string `yaml:"name"`
	// Polygon is its outline, [[x, y], …] with 0 ≤ x, y ≤ 1.
	Polygon detector.Polygon `yaml:"polygon,flow"`
	// Categories are the categories of event that are told in it; none given: all.
	Categories []Category `yaml:"categories,omitempty,flow"`
}

const maxZones = 64

// zoneOf returns the last zone that has the middle of the box, or nil. Later zones lie on top of earlier ones.
func (c Config) zoneOf(b Box) *Zone {
	for i := len(c.Zones) - 1; i >= 0; i-- {
		if c.Zones[i].Polygon.Contains(b.X+b.Width/2, b.Y+b.Height/2) {
			return &c.Zones[i]
		}
	}
	return nil
}

// tells reports whether an event is told, by its category and the zone that it is in, and names that zone.
func (c Config) tells(e *Event) bool {
	categories := c.Categories
	e.Zone = ""
	if z := c.zoneOf(e.Box); z != nil && !wholePicture(e.Category) {
		e.Zone, categories = z.Name, z.Categories
	}
	return len(categories) == 0 || slices.Contains(categories, e.Category)
}

// wholePicture reports whether events of the category are about the camera and not about a place.
func wholePicture(k Category) bool { return k == Covered || k == Moved || k == Defocused }

// scene returns what is to be found in the picture.
func (c Config) scene() scene.Config {
	s := scene.Config{MinArea: c.MinArea}
	looksFor := func(categories []Category) bool {
		return len(categories) == 0 || slices.Contains(categories, Left) || slices.Contains(categories, Taken)
	}
	if looksFor(c.Categories) || slices.ContainsFunc(c.Zones, func(z Zone) bool { return looksFor(z.Categories) }) {
		s.StillAfter = c.StillAfter
	}
	return s
}

func validateCategories(key string, categories []Category) error {
	for i, k := range categories {
		if !slices.Contains(Categories(), k) || slices.Contains(categories[:i], k) {
			return fmt.Errorf("%s: got %q, want each at most once: %s", key, k, strings.Join(names(Categories()), ", "))
		}
	}
	return nil
}

func names(categories []Category) (list []string) {
	for _, k := range categories {
		list = append(list, string(k))
	}
	return list
}

// validateZones reports the faults of the zones.
func (c Config) validateZones() (errs []error) {
	if len(c.Zones) > maxZones {
		return []error{fmt.Errorf("events.zones: got %d, want at most %d", len(c.Zones), maxZones)}
	}
	for i, z := range c.Zones {
		key := fmt.Sprintf("events.zones[%d]", i)
		if z.Name == "" || len(z.Name) > 63 {
			errs = append(errs, fmt.Errorf("%s.name: got %q, want 1 to 63 bytes", key, z.Name))
		}
		if err := z.Polygon.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s.polygon: %w", key, err))
		}
		if err := validateCategories(key+".categories", z.Categories); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
