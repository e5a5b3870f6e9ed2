package scene

import (
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// Category is what has happened to the picture.
type Category string

// The categories.
const (
	Covered   Category = "covered"   // something in front of the lens hides the place
	Moved     Category = "moved"     // the camera looks elsewhere
	Defocused Category = "defocused" // the place is there, but blurred
	Left      Category = "left"      // something new has been still for Config.StillAfter
	Taken     Category = "taken"     // something has been gone for Config.StillAfter
)

// Finding is what is the matter now. Findings of the same category at the same place in successive frames are the same thing.
type Finding struct {
	Category      Category
	Width, Height int   // grid of Cells
	Cells         []int // where, as indices on the grid, ascending; nil: the whole picture
}

// Config determines what is found.
type Config struct {
	// StillAfter is how long something must have been still, or gone. 0: Left and Taken are not looked for.
	StillAfter time.Duration
	// MinArea is the area of the smallest thing that is Left or Taken, as a fraction of the image.
	MinArea float64
}

// every is the shortest time between two frames that are looked at.
const every = 100 * time.Millisecond

// Watch watches one camera. It is not safe for concurrent use.
type Watch struct {
	cfg   Config
	last  time.Time // capture time of the frame looked at last
	now   *picture
	lens  *lens
	still *still
	found []Finding
}

// New returns a watch that has seen nothing.
func New(cfg Config) *Watch { return &Watch{cfg: cfg} }

// Configure replaces the configuration. What was learnt is kept.
func (w *Watch) Configure(cfg Config) { w.cfg = cfg }

// Update takes the next frame, which it only reads, and returns the current findings; they are valid until the next call.
// Frames that follow each other within a tenth of a second are not all looked at.
func (w *Watch) Update(f *ingest.Frame) []Finding {
	dt := f.Captured.Sub(w.last)
	if w.lens != nil && dt >= 0 && dt < every {
		return w.found
	}
	width, height := gridOf(f)
	if w.lens == nil || w.now.width != width || w.now.height != height || dt < 0 || dt > forget {
		w.now, w.lens, w.still = newPicture(width, height), newLens(width, height), newStill(width, height)
		dt = 0
	}
	w.last = f.Captured
	w.now.sample(f)
	w.found = w.found[:0]
	category := w.lens.update(w.now, f.Captured, dt)
	switch {
	case category != "":
		w.found = append(w.found, Finding{Category: category, Width: width, Height: height})
	case w.lens.fixed() && w.cfg.StillAfter > 0:
		least := max(2, int(w.cfg.MinArea*float64(width*height)))
		w.found = w.still.update(w.found, w.now, dt, w.cfg.StillAfter, least)
	case w.cfg.StillAfter > 0:
		w.still.restart()
	}
	return w.found
}

// forget is the gap between two frames after which the place is learnt anew.
const forget = 10 * time.Minute
