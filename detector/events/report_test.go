package events

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/scene"
)

// square is a finding of a square of cells on a grid of 96 × 72.
func square(category scene.Category, x, y, side int) scene.Finding {
	f := scene.Finding{Category: category, Width: 96, Height: 72}
	for cy := y; cy < y+side; cy++ {
		for cx := x; cx < x+side; cx++ {
			f.Cells = append(f.Cells, cy*96+cx)
		}
	}
	return f
}

// tell is what find said: type, category and reason of each message.
func tell(events []Event) (list []string) {
	for _, e := range events {
		list = append(list, string(e.Type)+" "+string(e.Category)+string(e.Reason))
	}
	return list
}

// A finding is one event from its first frame until it has been away for Hold, with an update a second. It keeps its category,
// its place and its identifier, and has the values of the map there.
func TestFindingsBecomeEvents(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	bag := square(scene.Left, 20, 30, 6)
	var told []string
	id := ""
	for i := range 60 {
		m := blobMap(time.Duration(i)*100*time.Millisecond, rect{}, 0)
		m.Values[9*40+9] = 3 // at 24 %, 47 %: inside
		var found []scene.Finding
		if i < 25 || i >= 30 && i < 40 { // for half a second, somebody hides it
			if bag.Category = scene.Left; i%7 == 6 {
				bag.Category = scene.Taken
			}
			found = append(found, bag)
		}
		happened := tr.find(m, found)
		for _, e := range happened {
			if id == "" {
				id = e.ID
			}
			if e.ID != id || e.Box != (Box{20. / 96, 30. / 72, 6. / 96, 6. / 72}) || e.Area != 36./(96*72) || e.Peak != 3 ||
				len(e.Polygon) < 4 || e.Mean <= 0 {
				t.Errorf("frame %d: %+v", i, e)
			}
		}
		told = append(told, tell(happened)...)
	}
	want := []string{"start left", "update left", "update left", "update left", "end leftgone"}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if open := tr.Open(); len(open) > 0 {
		t.Errorf("open %+v", open)
	}
}

// What is the matter with the camera is an event of the whole picture. While the lens is covered, no strange region becomes
// an event; it does once the lens is free.
func TestCoveredExplainsStrangeRegions(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	var told []string
	for i := range 100 {
		m := blobMap(time.Duration(i)*100*time.Millisecond, rect{5, 5, 15, 15}, 9)
		m.Seen, m.Classes = make([]uint16, len(m.Values)), []string{"road"}
		var found []scene.Finding
		if i < 50 {
			found = []scene.Finding{{Category: scene.Covered, Width: 96, Height: 72}}
		}
		for _, e := range append(tr.find(m, found), tr.Update(m)...) {
			if e.Type != Update {
				told = append(told, string(e.Type)+" "+string(e.Category))
			}
			if e.Category == Covered && (e.Box != (Box{Width: 1, Height: 1}) || e.SeenAs != "") {
				t.Errorf("box %v, seen as %q", e.Box, e.SeenAs)
			}
		}
	}
	if want := []string{"start covered", "end covered", "start strange"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A finding at the place of a strange event is no second event: the event becomes left. A region that grows over a quarter
// of the picture becomes a crowd.
func TestKindChanges(t *testing.T) {
	tr := NewTracker(DefaultConfig())
	categories := map[Category]int{}
	ids := map[string]bool{}
	for i := range 80 {
		blob := rect{8, 8, 12, 12}
		if i >= 60 {
			blob = rect{2, 2, 32, 18}
		}
		m := blobMap(time.Duration(i)*100*time.Millisecond, blob, 9)
		var found []scene.Finding
		if i >= 30 && i < 50 {
			found = []scene.Finding{square(scene.Left, 20, 29, 8)}
		}
		for _, e := range append(tr.find(m, found), tr.Update(m)...) {
			categories[e.Category]++
			ids[e.ID] = true
		}
	}
	if len(ids) != 1 || categories[Strange] == 0 || categories[Left] == 0 {
		t.Errorf("%d events of categories %v, want one that is strange, then left", len(ids), categories)
	}
	tr = NewTracker(DefaultConfig())
	last := Event{}
	for i := range 40 {
		for _, e := range tr.Update(blobMap(time.Duration(i)*100*time.Millisecond, rect{2, 2, 32, 18}, 9)) {
			last = e
		}
	}
	if last.Category != Crowd {
		t.Errorf("a region of %.2f of the picture is %q", last.Area, last.Category)
	}
}

// Categories are switched off for the whole picture or in zones, of which the last counts.
func TestZones(t *testing.T) {
	left := detector.Polygon{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}
	corner := detector.Polygon{{0, 0}, {0.2, 0}, {0.2, 0.4}, {0, 0.4}}
	cfg := DefaultConfig()
	cfg.Categories = []Category{Strange, Crowd}
	cfg.Zones = []Zone{{"yard", left, []Category{Strange, Left}}, {"bush", corner, []Category{Left}}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		blob rect
		find []scene.Finding
		want string // category and zone of the event; empty: none
	}{
		"strange in a zone":         {blob: rect{10, 10, 15, 15}, want: "strange yard"},
		"strange outside":           {blob: rect{30, 10, 35, 15}, want: "strange "},
		"in the corner":             {blob: rect{1, 1, 6, 6}},
		"left in a zone":            {find: []scene.Finding{square(scene.Left, 30, 40, 8)}, want: "left yard"},
		"taken in a zone":           {find: []scene.Finding{square(scene.Taken, 30, 40, 8)}},
		"left outside":              {find: []scene.Finding{square(scene.Left, 70, 40, 8)}},
		"covered is off everywhere": {find: []scene.Finding{{Category: scene.Covered, Width: 96, Height: 72}}},
	} {
		tr, got := NewTracker(cfg), ""
		for i := range 20 {
			m := blobMap(time.Duration(i)*100*time.Millisecond, c.blob, 9)
			for _, e := range append(tr.find(m, c.find), tr.Update(m)...) {
				got = string(e.Category) + " " + e.Zone
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// Each fault of categories and zones is named.
func TestZonesAreChecked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Categories = []Category{"odd"}
	cfg.StillAfter = 0
	cfg.Zones = []Zone{{"", detector.Polygon{{0, 0}, {1, 1}}, []Category{Left, Left}}}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`events.categories: got "odd", want each at most once: strange, motion, crowd, left, taken, covered, moved, defocused`,
		"events.still_after: got 0s, want 1s to 1h", "events.zones[0].name", "events.zones[0].polygon: got 2 corners",
		`events.zones[0].categories: got "left"`,
	} {
		if !containsPrefix(lines(err), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func lines(err error) []string { return strings.Split(err.Error(), "\n") }

func containsPrefix(list []string, prefix string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.HasPrefix(s, prefix) })
}
