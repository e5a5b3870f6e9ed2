package events

import (
	"cmp"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// link measures how well a track and a region of the current map fit.
type link struct {
	tr          *track
	region      int
	score       float64
	trackShare  float64 // share of the track's last or predicted region that lies in this region; the larger of the two
	regionShare float64 // share of this region that lies in the track's last one
}

// Weights of the terms of a link's score, in addition to the overlap with the predicted region, which has weight 1.
const (
	stayWeight = 0.5 // overlap without motion: detectors flicker more than objects move
	bodyWeight = 0.1 // overlap with the whole region, including what the track has absorbed
	nearWeight = 0.1 // distance of the centres
	sizeWeight = 0.2 // size, after a merger: by then the position is a guess
	nearCells  = 2   // regions this close belong together if none overlaps
)

// connect finds which tracks and regions of the current map may belong together: they overlap, or the region lies between
// the last and the predicted position of the track.
func (t *Tracker) connect(m *detector.Map) {
	t.links = t.links[:0]
	n := len(t.regions)
	t.counts = grow(t.counts, 3*n)
	moved, still, body := t.counts[:n], t.counts[n:2*n], t.counts[2*n:]
	t.edges = grow(t.edges, len(t.tracks))
	for row, tr := range t.tracks {
		t.edges[row] = t.edges[row][:0]
		dx, dy := tr.alone.shift(m.Captured)
		t.finder.countByRegion(tr.alone.cells, dx, dy, m.Width, m.Height, moved)
		t.finder.countByRegion(tr.alone.cells, 0, 0, m.Width, m.Height, still)
		t.finder.countByRegion(tr.cells, 0, 0, m.Width, m.Height, body)
		merged, search := tr.absorbed > 0 || tr.mergedInto != nil, tr.searchBox(m.Captured)
		for i := range t.regions {
			r := &t.regions[i]
			own, size := len(tr.alone.cells), len(r.cells)
			score := iou(moved[i], own, size) + bodyWeight*iou(body[i], len(tr.cells), size)
			if !merged { // objects that cross have swapped places when they separate
				score += stayWeight * iou(still[i], own, size)
			}
			if score == 0 && search.overlap(r.box) == 0 {
				continue
			}
			score += nearWeight * tr.alone.closeness(r, m.Captured)
			if merged {
				score += sizeWeight * float64(min(own, size)) / float64(max(own, size))
			}
			t.edges[row] = append(t.edges[row], edge{i, score})
			inside := max(float64(body[i])/float64(len(tr.cells)), float64(moved[i])/float64(own))
			t.links = append(t.links, link{tr, i, score, inside, float64(body[i]) / float64(size)})
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

// assign assigns at most one region to each track so that the sum of the scores is largest.
func (t *Tracker) assign() {
	for row, region := range t.matcher.match(t.edges, len(t.regions)) {
		if region >= 0 {
			t.setOwner(region, t.tracks[row])
		}
	}
	for _, tr := range t.tracks { // a merged region belongs to the track that goes on
		first := tr
		for o := tr.mergedInto; tr.region >= 0 && o != nil && o.region < 0 && !o.dead; o = o.mergedInto {
			first = o
		}
		if first != tr {
			t.setOwner(tr.region, first)
			tr.region = -1
		}
	}
	for _, tr := range t.tracks { // a fragment replaces a parent that has lost its region
		if p := tr.parent; p != nil && p.region < 0 && tr.region >= 0 {
			t.setOwner(tr.region, p)
			tr.region, tr.dead = -1, true
		}
	}
}

// merge finds the tracks whose region has become part of another track's. The older track goes on, the younger one is held:
// see Config.Hold.
func (t *Tracker) merge(now time.Time) {
	for _, l := range t.links {
		tr, owner := l.tr, t.owners[l.region]
		if tr.region >= 0 || tr.mergedInto != nil || tr.dead || owner == nil || owner == tr ||
			l.trackShare < 0.5 || tr.missedMaps > 2 {
			continue
		}
		older, younger := owner, tr
		if tr.outranks(owner) {
			older, younger = tr, owner
			younger.region = -1
			tr.region, t.owners[l.region] = l.region, tr
		}
		if !younger.started {
			younger.dead = true
			continue
		}
		younger.separate()
		younger.mergedInto, younger.mergedAt = older, now
		older.absorbed++
	}
}

// fragmentOf returns the track that a region broke off from, or nil: at least half of the region lies where that track's
// region was.
func (t *Tracker) fragmentOf(region int) *track {
	for _, l := range t.links {
		if l.region != region || l.regionShare < 0.5 || l.tr.region < 0 {
			continue
		}
		if p := l.tr.parent; p != nil {
			return p
		}
		return l.tr
	}
	return nil
}
