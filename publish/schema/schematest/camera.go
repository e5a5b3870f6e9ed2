// Package schematest has a schema.Camera for tests of outlets and clients.
package schematest

import (
	"fmt"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// MaxTimesteps is the largest |T| that a Camera accepts.
const MaxTimesteps = 25

// Camera is a live camera without pictures, whose settings can be changed.
type Camera struct {
	name string
	mu   struct {
		sync.Mutex
		status schema.Status
	}
}

// NewCamera returns a camera of the site "default" with five timesteps and the threshold 4.
func NewCamera(name string) *Camera {
	c := &Camera{name: name}
	c.mu.status = schema.Status{
		Origin: schema.ThisProcess(), Site: "default", Camera: name, State: schema.StateLive, Since: time.Now(), Timesteps: schema.Timesteps{N: 5},
		TimestepsUsed: 5, TimestepsMax: MaxTimesteps, Threshold: 4, Bundle: "roadscene", Provider: "cpu",
	}
	return c
}

// Name returns the name.
func (c *Camera) Name() string { return c.name }

// Status returns the status at this time.
func (c *Camera) Status() schema.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.status.Time = time.Now()
	return c.mu.status
}

// Edit changes the status.
func (c *Camera) Edit(edit func(*schema.Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	edit(&c.mu.status)
}

// Apply changes timesteps, threshold and pause. It refuses a number of timesteps outside 1..MaxTimesteps.
func (c *Camera) Apply(_ schema.Requester, u schema.Update) (schema.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := u.Timesteps; t != nil {
		if !t.Auto && len(t.List) == 0 && (t.N < 1 || t.N > MaxTimesteps) {
			return c.mu.status, fmt.Errorf("timesteps: got %d, want 1..%d", t.N, MaxTimesteps)
		}
		c.mu.status.Timesteps = *t
		if !t.Auto {
			c.mu.status.TimestepsUsed = max(t.N, len(t.List))
		}
	}
	if u.Threshold != nil {
		c.mu.status.Threshold = *u.Threshold
	}
	if u.Paused != nil {
		c.mu.status.Paused = *u.Paused
	}
	return c.mu.status, nil
}

// SnapshotCamera is a Camera that can take snapshots.
type SnapshotCamera struct {
	*Camera
	JPEG     []byte
	Captured time.Time
	Err      error
}

// Snapshot returns JPEG, Captured and Err.
func (c SnapshotCamera) Snapshot() ([]byte, time.Time, error) { return c.JPEG, c.Captured, c.Err }

var (
	_ schema.Camera      = (*Camera)(nil)
	_ schema.Snapshotter = SnapshotCamera{}
)
