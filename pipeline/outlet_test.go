package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// station is an outlet that takes its time to stop and writes down what happens to it.
type station struct {
	recorder
	name    string
	diary   *diary
	takes   time.Duration // to stop
	fails   error         // ends Run after a second
	refuses error         // of AddCamera
}

type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) write(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, what)
}

func (s *station) Run(ctx context.Context) error {
	if s.fails != nil {
		time.Sleep(time.Second)
		return s.fails
	}
	<-ctx.Done()
	s.diary.write(s.name + " is told")
	time.Sleep(s.takes)
	s.diary.write(s.name + " ends")
	return nil
}

func (s *station) AddCamera(schema.Camera) error {
	s.diary.write(s.name + " gets a camera")
	return s.refuses
}

func (s *station) RemoveCamera(string) error {
	s.diary.write(s.name + " loses a camera")
	return nil
}

func (s *station) Events(seen events.Observation) []events.Event {
	out := slices.Clone(seen.Events)
	for i := range out {
		out[i].Snapshot += s.name
	}
	return out
}

func (s *station) FramesHeld() int { return len(s.name) }

func stations(d *diary) (a, b *station) {
	return &station{name: "a", diary: d, takes: time.Minute}, &station{name: "bb", diary: d, takes: time.Second}
}

// An outlet may need those after it until it has ended, so they stop in order.
func TestOutletsStopInOrder(t *testing.T) {
	for name, stop := range map[string]func(cancel func(), third *station){
		"when they are told to": func(cancel func(), _ *station) { cancel() },
		"when one fails":        func(_ func(), third *station) { third.fails = errors.New("the port is taken") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var d diary
			a, b := stations(&d)
			third := &station{name: "c", diary: &d}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop(cancel, third)
			if err := (Outlets{a, b, third}).Run(ctx); !errors.Is(err, third.fails) {
				t.Errorf("%s: %v, want %v", name, err, third.fails)
			}
			want := "a is told, a ends, bb is told, bb ends"
			if third.fails == nil {
				want += ", c is told, c ends"
			}
			if got := strings.Join(d.entries, ", "); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		})
	}
}

// A camera that one outlet refuses is in none.
func TestOutletsAddAllOrNone(t *testing.T) {
	var d diary
	a, b := stations(&d)
	b.refuses = errors.New("two cameras have this name")
	if err := (Outlets{a, b}).AddCamera(&camera{}); !errors.Is(err, b.refuses) {
		t.Errorf("%v, want %v", err, b.refuses)
	}
	if got, want := strings.Join(d.entries, ", "), "a gets a camera, bb gets a camera, a loses a camera"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Each outlet sees events as those before it have completed them, and gets a reference of its own to every frame.
func TestOutletsPassOn(t *testing.T) {
	var d diary
	a, b := stations(&d)
	both := Outlets{a, b}
	if got := both.Events(events.Observation{Events: []events.Event{{ID: "x"}}}); len(got) != 1 || got[0].Snapshot != "abb" {
		t.Errorf("events %+v, want one with what both know", got)
	}
	pool := ingest.NewPool(1)
	both.Frame(pool.TryGet(8, 8))
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d frames are still out", n)
	}
	if n := both.FramesHeld(); n != 3 {
		t.Errorf("FramesHeld() = %d, want the sum", n)
	}
	if _, _, err := both.Snapshot("x"); err == nil {
		t.Error("a snapshot from outlets that show nothing")
	}
}

// tapping is an outlet that is also an ingest.Tap, of one camera.
type tapping struct {
	recorder
	camera string
	got    []string
}

func (p *tapping) Coding(c ingest.Coding)          { p.got = append(p.got, "coding of "+c.Camera) }
func (p *tapping) Listening(camera string) bool    { return camera == p.camera }
func (p *tapping) AccessUnit(u *ingest.AccessUnit) { p.got = append(p.got, "unit of "+u.Camera) }

// What cameras send reaches the outlets that are taps and listen. Without any, nothing is tapped.
func TestOutletsTap(t *testing.T) {
	if tap := (Outlets{&recorder{}}).tap(); tap != nil {
		t.Errorf("tap() = %v without outlets that tap", tap)
	}
	a, b := &tapping{camera: "front"}, &tapping{camera: "rear"}
	tap := Outlets{a, &recorder{}, b}.tap()
	for _, camera := range []string{"front", "yard"} {
		tap.Coding(ingest.Coding{Camera: camera})
		if got, want := tap.Listening(camera), camera == "front"; got != want {
			t.Errorf("Listening(%s) = %v", camera, got)
		}
		tap.AccessUnit(&ingest.AccessUnit{Camera: camera})
	}
	if got := strings.Join(a.got, ", "); got != "coding of front, unit of front, coding of yard" {
		t.Errorf("the first outlet got %s", got)
	}
	if got := strings.Join(b.got, ", "); got != "coding of front, coding of yard" {
		t.Errorf("the second outlet got %s", got)
	}
}
