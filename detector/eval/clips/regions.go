package clips

import (
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/events"
)

// Regions are the region-based and the track-based detection criterion (Ramachandra and Jones, Street Scene: A New Dataset and
// Evaluation Protocol for Video Anomaly Detection, WACV 2020, section 4). At a threshold the detections of a frame are the
// 8-connected components of the cells at or above it. A labelled region is found if the box of a detection overlaps its box with
// an intersection over union of at least 0.1, a track if at least a tenth of its regions is found. A detection that overlaps no
// labelled region so far is false. RBDC and TBDC are the areas under the shares of regions and tracks that are found, over the
// number of false detections per frame from 0 to 1.
type Regions struct {
	RBDC    float64 `json:"rbdc"`
	TBDC    float64 `json:"tbdc"`
	Regions int     `json:"regions"`
	Tracks  int     `json:"tracks"`
	// Labelled reports that the regions and tracks are those that the set comes with. Otherwise they are the connected pixels of
	// the masks, joined from frame to frame where their boxes overlap.
	Labelled bool `json:"labelled"`
}

// The criteria's constants, α and β in the paper.
const (
	leastOverlap = 0.1 // intersection over union
	leastTrack   = 0.1 // share of a track's regions
)

// region is a labelled region of a frame.
type region struct {
	track int
	box   events.Box
}

// frame is the map of a frame with its labelled regions.
type frame struct {
	width, height int
	values        []float32
	regions       []region
	labelled      bool // the tracks are the set's own
}

// tracked sets the regions that the set comes with.
func (f *frame) tracked(list []dataset.Region, w, h int) {
	f.labelled = true
	for _, r := range list {
		f.regions = append(f.regions, region{r.Track, events.Box{
			X: r.X / float64(w), Y: r.Y / float64(h), Width: r.Width / float64(w), Height: r.Height / float64(h),
		}})
	}
}

// masked sets the regions to the connected anomalous pixels, without tracks so far.
func (f *frame) masked(labels []uint8, w, h int) {
	numbers, sizes := eval.ConnectedComponents(w, h, func(i int) bool { return labels[i] == 1 })
	for _, b := range boxes(numbers, len(sizes)-1, w, h) {
		f.regions = append(f.regions, region{track: -1, box: b})
	}
}

// boxes returns the bounding box of each component 1 … n, as fractions of the picture.
func boxes(numbers []int32, n, w, h int) []events.Box {
	type bounds struct{ x0, y0, x1, y1 int }
	all := make([]bounds, n)
	for i := range all {
		all[i] = bounds{w, h, 0, 0}
	}
	for i, id := range numbers {
		if id > 0 {
			b, x, y := &all[id-1], i%w, i/w
			b.x0, b.y0, b.x1, b.y1 = min(b.x0, x), min(b.y0, y), max(b.x1, x+1), max(b.y1, y+1)
		}
	}
	list := make([]events.Box, n)
	for i, b := range all {
		list[i] = events.Box{
			X: float64(b.x0) / float64(w), Y: float64(b.y0) / float64(h),
			Width: float64(b.x1-b.x0) / float64(w), Height: float64(b.y1-b.y0) / float64(h),
		}
	}
	return list
}

// overlap returns the intersection over the union of two boxes.
func overlap(a, b events.Box) float64 {
	w := min(a.X+a.Width, b.X+b.Width) - max(a.X, b.X)
	h := min(a.Y+a.Height, b.Y+b.Height) - max(a.Y, b.Y)
	both := max(w, 0) * max(h, 0)
	if both == 0 {
		return 0
	}
	return both / (a.Width*a.Height + b.Width*b.Height - both)
}

// link gives tracks to regions without one: a region continues the track of the region in the frame before that it overlaps most.
func link(frames []frame, next int) int {
	for i := range frames {
		for k := range frames[i].regions {
			r := &frames[i].regions[k]
			if r.track >= 0 {
				continue
			}
			best := 0.0
			if i > 0 {
				for _, old := range frames[i-1].regions {
					if o := overlap(r.box, old.box); o > best {
						r.track, best = old.track, o
					}
				}
			}
			if best == 0 {
				r.track = next
				next++
			}
		}
	}
	return next
}

// detected counts what a threshold finds.
type detected struct {
	found  int            // regions
	tracks map[[2]int]int // regions found of each track, by clip and track
	wrong  int            // false detections
}

// regions computes the criteria.
func (r *row) regions(ctx context.Context) (*Regions, error) {
	res := &Regions{}
	total, frames := map[[2]int]int{}, 0
	for n, c := range r.clips {
		link(c.frames, 0)
		frames += len(c.frames)
		for _, f := range c.frames {
			res.Labelled = res.Labelled || f.labelled
			res.Regions += len(f.regions)
			for _, one := range f.regions {
				total[[2]int{n, one.track}]++
			}
		}
	}
	if res.Tracks = len(total); res.Regions == 0 {
		return nil, nil //nolint:nilnil // a set without regions has no such figures, which is no error
	}
	thresholds := r.thresholds()
	points := make([]detected, len(thresholds))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, t := range thresholds {
		g.Go(func() error {
			points[i] = r.detect(t)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	falseRate, regions, tracks := make([]float64, len(points)), make([]float64, len(points)), make([]float64, len(points))
	for i, p := range points {
		falseRate[i], regions[i] = float64(p.wrong)/float64(frames), float64(p.found)/float64(res.Regions)
		found := 0
		for id, n := range p.tracks {
			if float64(n) >= leastTrack*float64(total[id]) {
				found++
			}
		}
		tracks[i] = float64(found) / float64(res.Tracks)
	}
	res.RBDC, res.TBDC = area(falseRate, regions), area(falseRate, tracks)
	return res, nil
}

// The thresholds are quantiles of the highest values of frames and, below them, of all values.
const (
	peakThresholds  = 100
	valueThresholds = 40
)

func (r *row) thresholds() []float32 {
	var peaks, values []float32
	for _, c := range r.clips {
		peaks = append(peaks, c.scores...)
		for _, f := range c.frames {
			for i := 0; i < len(f.values); i += 7 { // a prime: no column is left out
				values = append(values, f.values[i])
			}
		}
	}
	slices.Sort(peaks)
	slices.Sort(values)
	var list []float32
	for i := range peakThresholds {
		list = append(list, peaks[(len(peaks)-1)*i/(peakThresholds-1)])
	}
	for i := range valueThresholds {
		list = append(list, values[(len(values)-1)*(valueThresholds+i)/(2*valueThresholds)])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// detect counts what a threshold finds in all clips.
func (r *row) detect(threshold float32) detected {
	d := detected{tracks: map[[2]int]int{}}
	for n, c := range r.clips {
		for i := range c.frames {
			f := &c.frames[i]
			if c.scores[i] < threshold {
				continue
			}
			numbers, sizes := eval.ConnectedComponents(f.width, f.height, func(k int) bool { return f.values[k] >= threshold })
			hit := make([]bool, len(f.regions))
			for _, b := range boxes(numbers, len(sizes)-1, f.width, f.height) {
				wrong := true
				for k, one := range f.regions {
					if overlap(b, one.box) >= leastOverlap {
						wrong, hit[k] = false, true
					}
				}
				if wrong {
					d.wrong++
				}
			}
			for k, h := range hit {
				if h {
					d.found++
					d.tracks[[2]int{n, f.regions[k].track}]++
				}
			}
		}
	}
	return d
}

// area integrates the best rate over the false detections per frame from 0 to 1, by steps. Beyond the last point it stays.
func area(falseRate, rate []float64) float64 {
	order := make([]int, len(rate))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case falseRate[a] < falseRate[b]:
			return -1
		case falseRate[a] > falseRate[b]:
			return 1
		}
		return 0
	})
	sum, at, best := 0.0, 0.0, 0.0
	for _, i := range order {
		if falseRate[i] > 1 {
			break
		}
		sum, at, best = sum+best*(falseRate[i]-at), falseRate[i], max(best, rate[i])
	}
	return sum + best*(1-at)
}
