package detector

import (
	"cmp"
	"slices"
	"time"
)

// link is how well a track and a region of the current map fit.
type link struct {
	tr     *track
	region int
	score  float64
	inside float64 // part of the track's last region that lies in this one
	covers float64 // part of this region that lies in the track's last one
}

const (
	stayWeight = 0.5 // of the overlap without motion: detectors flicker more than things move
	bodyWeight = 0.1 // of the overlap with what a track has swallowed
	nearCells  = 2   // regions so close belong together where none overlaps
)

// connect finds which tracks and regions of the current map overlap.
func (t *Tracker) connect(m *Map) {
	t.links = t.links[:0]
	n := len(t.regions)
	t.counts = grow(t.counts, 3*n)
	moved, still, body := t.counts[:n], t.counts[n:2*n], t.counts[2*n:]
	for _, tr := range t.tracks {
		dx, dy := tr.solo.shift(m.Captured)
		t.find.under(tr.solo.cells, dx, dy, m.Width, m.Height, moved)
		t.find.under(tr.solo.cells, 0, 0, m.Width, m.Height, still)
		t.find.under(tr.body, 0, 0, m.Width, m.Height, body)
		for i := range t.regions {
			size := len(t.regions[i].cells)
			score := iou(moved[i], len(tr.solo.cells), size) + bodyWeight*iou(body[i], len(tr.body), size)
			if tr.parts == 0 && tr.into == nil { // things that cross have changed places when they part
				score += stayWeight * iou(still[i], len(tr.solo.cells), size)
			}
			if score > 0 {
				t.links = append(t.links, link{
					tr, i, score, float64(body[i]) / float64(len(tr.body)), float64(body[i]) / float64(size),
				})
			}
		}
	}
	slices.SortStableFunc(t.links, func(a, b link) int { return cmp.Compare(b.score, a.score) })
}

// iou is the intersection over the union of two sets of cells.
func iou(common, a, b int) float64 {
	if common == 0 {
		return 0
	}
	return float64(common) / float64(a+b-common)
}

// assign gives every region to the track that fits best, and no track two. Those that were swallowed come last.
func (t *Tracker) assign() {
	for _, swallowed := range []bool{false, true} {
		for _, l := range t.links {
			if (l.tr.into != nil) == swallowed && l.tr.region < 0 && t.owners[l.region] == nil {
				t.give(l.region, l.tr)
			}
		}
	}
	for _, tr := range t.tracks { // what broke off replaces what it broke off from
		if p := tr.parent; p != nil && p.region < 0 && tr.region >= 0 {
			t.give(tr.region, p)
			tr.region, tr.dead = -1, true
		}
	}
}

// merge finds the tracks whose region has become part of another track's. The older one lives.
func (t *Tracker) merge(now time.Time) {
	for _, l := range t.links {
		tr, owner := l.tr, t.owners[l.region]
		if tr.region >= 0 || tr.into != nil || tr.dead || owner == nil || owner == tr ||
			l.inside < 0.5 || tr.missed > 2 {
			continue
		}
		older, younger := owner, tr
		if tr.senior(owner) {
			older, younger = tr, owner
			younger.region = -1
			tr.region, t.owners[l.region] = l.region, tr
		}
		if !younger.started {
			younger.dead = true
			continue
		}
		younger.into, younger.merged = older, now
		older.parts++
	}
}

// reach gives regions that nobody overlaps to tracks nearby that have lost theirs.
func (t *Tracker) reach() {
	for i := range t.regions {
		if t.owners[i] != nil {
			continue
		}
		var best *track
		most := 0
		for _, tr := range t.tracks {
			if tr.region >= 0 || tr.into != nil || tr.dead {
				continue
			}
			if n := tr.box.grown(nearCells).overlap(t.regions[i].box); n > most {
				best, most = tr, n
			}
		}
		if best != nil {
			t.give(i, best)
		}
	}
}

// brokenOff returns the track that a region is a part of: half of it lies where that track's region was.
func (t *Tracker) brokenOff(region int) *track {
	for _, l := range t.links {
		if l.region != region || l.covers < 0.5 || l.tr.region < 0 {
			continue
		}
		if p := l.tr.parent; p != nil {
			return p
		}
		return l.tr
	}
	return nil
}
