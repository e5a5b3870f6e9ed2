package pipeline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// lessons are what a camera was told is normal, and the newest events to try such lessons on.
type lessons struct {
	mu     sync.Mutex
	store  *lessonStore // nil: nothing is kept
	taught []taught
	seen   []seenEvent // newest last
}

// taught is a lesson with its features.
type taught struct {
	schema.Lesson
	Shown *detector.Lesson `json:"shown"`
}

// seenEvent has the features of an event at its peak.
type seenEvent struct {
	id    string
	box   schema.Box
	shown *detector.Lesson
	fault error // why there are no features: the event is too large
}

const (
	// seenEvents is the number of events whose features are kept.
	seenEvents = 200
	// explained is the share of an event's features that a lesson must know for the event not to have been.
	explained = 0.6
)

// Errors of Teach and Forget.
var (
	errNoLesson   = errors.New("no such lesson")
	errNoFeatures = errors.New("the features of this event are not known (any more): the newest events since the start are; name a region instead")
)

// recall reads what a camera was taught in earlier runs.
func (p *Pipeline) recall(c *camera, det *detector.Detector) {
	if p.stateDir == "" {
		return
	}
	c.lessons.store = &lessonStore{dir: p.stateDir, name: c.site + "." + c.Name()}
	list, err := c.lessons.store.read()
	if err != nil {
		p.log.Warn("what the camera was taught is not known; the file stays as it is", "camera", c.Name(), "error", err)
		c.lessons.store.fault = err
		return
	}
	c.lessons.taught = list
	c.lessons.force(det)
}

// note keeps the features of open events that have their peak in the map just made, or that are new: a candidate may have had
// its peak before it became an event.
func (l *lessons) note(m *detector.Map, det *detector.Detector, open []events.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range open {
		at := slices.IndexFunc(l.seen, func(s seenEvent) bool { return s.id == e.ID })
		switch {
		case at >= 0 && !e.PeakTime.Equal(m.Captured):
			continue
		case at >= 0:
			l.seen = slices.Delete(l.seen, at, at+1)
		case len(l.seen) == seenEvents:
			l.seen = slices.Delete(l.seen, 0, 1)
		}
		seen := seenEvent{id: e.ID, box: schema.Box(e.Box)}
		seen.shown, seen.fault = det.Cut(e.Box.X, e.Box.Y, e.Box.Width, e.Box.Height)
		l.seen = append(l.seen, seen)
	}
}

// shownLocked returns what a teaching is about.
func (l *lessons) shownLocked(det *detector.Detector, t schema.Teaching) (*detector.Lesson, schema.Box, error) {
	if t.Event == "" {
		shown, err := det.Cut(t.Region.X, t.Region.Y, t.Region.Width, t.Region.Height)
		return shown, *t.Region, err
	}
	for _, s := range l.seen {
		if s.id == t.Event {
			return s.shown, s.box, s.fault
		}
	}
	return nil, schema.Box{}, errNoFeatures
}

// force hands the lessons to a detector.
func (l *lessons) force(det *detector.Detector) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forceLocked(det)
}

func (l *lessons) forceLocked(det *detector.Detector) {
	list := make([]*detector.Lesson, len(l.taught))
	for i, t := range l.taught {
		list[i] = t.Shown
	}
	det.SetLessons(list)
}

// Teach implements [schema.Teacher].
func (c *camera) Teach(who schema.Requester, t schema.Teaching) (schema.Taught, error) {
	l, det := &c.lessons, c.settings.detector.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	shown, box, err := l.shownLocked(det, t)
	if err != nil {
		return schema.Taught{}, err
	}
	answer := schema.Taught{Events: len(l.seen), Explained: []string{}}
	for _, s := range l.seen {
		if s.id == t.Event || s.fault == nil && shown.Explains(s.shown) >= explained {
			answer.Explained = append(answer.Explained, s.id)
		}
	}
	if t.DryRun {
		return answer, nil
	}
	if len(l.taught) >= detector.MaxLessons {
		return schema.Taught{}, fmt.Errorf("got %d lessons already, want at most %d: forget some, or fit the bundle to this camera", len(l.taught), detector.MaxLessons)
	}
	now := time.Now().UTC()
	lesson := taught{Shown: shown, Lesson: schema.Lesson{
		ID: fmt.Sprintf("%s-%d-%04x", c.Name(), now.UnixMilli(), rand.Uint32()&0xffff), Camera: c.Name(), Time: now, Requester: who,
		Event: t.Event, Box: box, Tokens: len(shown.Tokens),
	}}
	if err := l.replaceLocked(det, append(slices.Clone(l.taught), lesson)); err != nil {
		return schema.Taught{}, err
	}
	c.auditor(lesson.audit(c.site, schema.ActionTeach, who))
	answer.Lesson = &lesson.Lesson
	return answer, nil
}

// replaceLocked keeps the lessons and puts them into force. A lesson that cannot be kept is not put into force either: it
// would be gone after a restart.
func (l *lessons) replaceLocked(det *detector.Detector, list []taught) error {
	if l.store != nil {
		if err := l.store.write(list); err != nil {
			return err
		}
	}
	l.taught = list
	l.forceLocked(det)
	return nil
}

// Lessons implements [schema.Teacher].
func (c *camera) Lessons() []schema.Lesson {
	l, det := &c.lessons, c.settings.detector.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]schema.Lesson, len(l.taught))
	for i, t := range l.taught {
		list[i] = t.Lesson
		list[i].Stale = !det.Knows(t.Shown)
	}
	return list
}

// Forget implements [schema.Teacher].
func (c *camera) Forget(who schema.Requester, id string) error {
	l := &c.lessons
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.taught, func(t taught) bool { return t.ID == id })
	if at < 0 {
		return fmt.Errorf("%w: %.80q", errNoLesson, id)
	}
	gone := l.taught[at]
	if err := l.replaceLocked(c.settings.detector.Load(), slices.Delete(slices.Clone(l.taught), at, at+1)); err != nil {
		return err
	}
	c.auditor(gone.audit(c.site, schema.ActionForget, who))
	return nil
}

// audit tells about a lesson that was taught or forgotten.
func (t taught) audit(site, action string, who schema.Requester) schema.Audit {
	b := t.Box
	what := schema.Change{Key: "normal " + t.ID, After: fmt.Sprintf("%.2f,%.2f %.2fx%.2f %s", b.X, b.Y, b.Width, b.Height, t.Event)}
	if action == schema.ActionForget {
		what.Before, what.After = what.After, ""
	}
	return schema.Audit{
		Origin: schema.ThisProcess(), Site: site, Camera: t.Camera, Time: time.Now().UTC(), Requester: who, Action: action,
		Changes: []schema.Change{what},
	}
}
