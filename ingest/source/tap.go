package source

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

// tap passes the H.264 of one capture to an ingest.Tap until it is closed. A capture that was abandoned may go on for a while
// beside the next one.
type tap struct {
	camera string
	to     ingest.Tap
	seq    *atomic.Uint64 // of the source

	mu struct {
		sync.Mutex // held while to is called: nothing comes after close
		closed     bool
		told       ingest.Coding
	}
}

// newTap returns the tap for the next capture; nil when nobody taps the source.
func (s *source) newTap() *tap {
	if s.tapped == nil {
		return nil
	}
	t := &tap{camera: s.cfg.Name, to: s.tapped, seq: &s.units}
	t.mu.told = ingest.Coding{Camera: t.camera}
	return t
}

// Format implements ffmpeg.Tap.
func (t *tap) Format(f ffmpeg.Format) {
	t.tell(ingest.Coding{
		Camera: t.camera, Profile: f.Profile, Constraints: f.Constraints, Level: f.Level, Unfit: f.Unfit,
	}, false)
}

func (t *tap) tell(c ingest.Coding, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mu.closed && c != t.mu.told {
		t.mu.told = c
		t.to.Coding(c)
	}
	t.mu.closed = t.mu.closed || last
}

// close says that nothing can be passed on now. A nil tap may be closed.
func (t *tap) close() {
	if t != nil {
		t.tell(ingest.Coding{Camera: t.camera}, true)
	}
}

// Wanted implements ffmpeg.Tap.
func (t *tap) Wanted() bool { return t.to.Listening(t.camera) }

// Unit implements ffmpeg.Tap.
func (t *tap) Unit(u ffmpeg.Unit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := t.seq.Add(1)
	if !t.mu.closed && len(u.Data) > 0 {
		t.to.AccessUnit(&ingest.AccessUnit{
			Camera: t.camera, Seq: seq, Read: time.Now(), Time: u.Time, Key: u.Key, Data: u.Data,
		})
	}
}

var _ ffmpeg.Tap = (*tap)(nil)
