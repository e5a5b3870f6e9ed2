package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Teaching says that something is normal for a camera: what was at the place of an event at its peak, or what is in a region
// now.
type Teaching struct {
	Event  string `json:"event,omitempty"`
	Region *Box   `json:"region,omitempty"`
	// DryRun changes nothing: the answer says what would have been.
	DryRun bool `json:"dry_run,omitempty"`
}

// ParseTeaching reads a Teaching and rejects unknown keys.
func ParseTeaching(b []byte) (t Teaching, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("got %s, want {\"event\": ID} or {\"region\": {\"x\", \"y\", \"width\", \"height\"}}, and perhaps \"dry_run\": %w", clip(b), err)
	}
	if (t.Event == "") == (t.Region == nil) {
		return t, errors.New("want either event or region")
	}
	if r := t.Region; r != nil && !(r.X >= 0 && r.Y >= 0 && r.Width > 0 && r.Height > 0 && r.X+r.Width <= 1 && r.Y+r.Height <= 1) {
		return t, fmt.Errorf("region: got %v, want fractions of the picture, 0..1", *r)
	}
	return t, nil
}

// Lesson is something that a camera has been told is normal.
type Lesson struct {
	ID     string    `json:"id"`
	Camera string    `json:"camera"`
	Time   time.Time `json:"time"`
	Requester
	Event  string `json:"event,omitempty"` // the event that it was taken from
	Box    Box    `json:"box"`
	Tokens int    `json:"tokens"` // features that were shown
	// Stale says that the camera has another encoder since, so that the lesson has no effect: teach it again, or forget it.
	Stale bool `json:"stale,omitempty"`
}

// Lessons is the answer to a request for them.
type Lessons struct {
	Lessons []Lesson `json:"lessons"`
}

// Taught is the answer to a Teaching.
type Taught struct {
	Lesson *Lesson `json:"lesson,omitempty"` // nil after a dry run
	// Events is the number of latest events that the lesson was tried on, and Explained lists those that would not have been.
	Events    int      `json:"events"`
	Explained []string `json:"explained"`
}

// Teacher is implemented by cameras that can be told what is normal.
type Teacher interface {
	// Teach learns from the next frame on, or tries without learning.
	Teach(who Requester, t Teaching) (Taught, error)
	// Lessons returns what was taught, oldest first.
	Lessons() []Lesson
	// Forget takes a lesson back.
	Forget(who Requester, id string) error
}
