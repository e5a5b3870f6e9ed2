package events

import (
	"cmp"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// link is how well a track and a region of the current map fit.
type link struct {
	tr     *track
	region int
	score  float64
	inside float64 // part of the track's last region, or of where it should be by now, that lies in this one
	covers float64 // part of this region that lies in the track's last one
}

// What counts in the score of a link, beside the overlap with where the track should be by now.
const (
	stayWeight = 0.5 // overlap without motion: detectors flicker more than things move
	bodyWeight = 0.1 // overlap with all that a track has swallowed
	nearWeight = 0.1 // distance of the centres
	sizeWeight = 0.2 // size, after a merger: by then the place is a guess
	nearCells  = 2   // regions so close belong together where none overlaps
)

// connect finds which tracks and regions of the current map may belong together: they overlap, or the region lies on the
// way from where the track was to where it should be by now.
func (t *Tracker) connect(m *detector.Map) {
	t.links = t.links[:0]
	n := len(t.regions)
	t.counts = grow(t.counts, 3*n)
	moved, still, body := t.counts[:n], t.counts[n:2*n], t.counts[2*n:]
	t.edges = grow(t.edges, len(t.tracks))
	for row, tr := range t.tracks {
		t.edges[row] = t.edges[row][:0]
		dx, dy := tr.solo.shift(m.Captured)
		t.find.under(tr.solo.cells, dx, dy, m.Width, m.Height, moved)
		t.find.under(tr.solo.cells, 0, 0, m.Width, m.Height, still)
		t.find.under(tr.body, 0, 0, m.Width, m.Height, body)
		merged, way := tr.parts > 0 || tr.into != nil, tr.way(m.Captured)
		for i := range t.regions {
			r := &t.regions[i]
			own, size := len(tr.solo.cells), len(r.cells)
			score := iou(moved[i], own, size) + bodyWeight*iou(body[i], len(tr.body), size)
			if !merged { // things that cross have changed places when they part
				score += stayWeight * iou(still[i], own, size)
			}
			if score == 0 && way.overlap(r.box) == 0 {
				continue
			}
			score += nearWeight * tr.solo.closeness(r, m.Captured)
			if merged {
				score += sizeWeight * float64(min(own, size)) / float64(max(own, size))
			}
			t.edges[row] = append(t.edges[row], edge{i, score})
			inside := max(float64(body[i])/float64(len(tr.body)), float64(moved[i])/float64(own))
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

// assign gives regions to tracks, one to each at most, so that the sum of the scores is the largest.
func (t *Tracker) assign() {
	for row, region := range t.match.match(t.edges, len(t.regions)) {
		if region >= 0 {
			t.give(region, t.tracks[row])
		}
	}
	for _, tr := range t.tracks { // the region of two is that of the one that goes on
		first := tr
		for o := tr.into; tr.region >= 0 && o != nil && o.region < 0 && !o.dead; o = o.into {
			first = o
		}
		if first != tr {
			t.give(tr.region, first)
			tr.region = -1
		}
	}
	for _, tr := range t.tracks { // what broke off replaces what it broke off from
		if p := tr.parent; p != nil && p.region < 0 && tr.region >= 0 {
			t.give(tr.region, p)
			tr.region, tr.dead = -1, true
		}
	}
}

// merge finds the tracks whose region has become part of another track's. The older one lives, the
// other is held: see Config.Hold.
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
		younger.comeOut()
		younger.into, younger.merged = older, now
		older.parts++
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
