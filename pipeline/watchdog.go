package pipeline

import (
	"fmt"
	"sync/atomic"
	"time"
)

// scoreLimit is how long the scoring of one frame may take before the pipeline counts as hanging. The first frame on a GPU
// takes seconds.
const scoreLimit = 20 * time.Second

// watchdog knows since when the frames of the current turn have been scored.
type watchdog struct{ turn atomic.Pointer[turn] }

type turn struct {
	began  time.Time // with its monotonic part: a clock that is set must not look like frames that hang
	frames int
}

func (w *watchdog) begin(frames int) { w.turn.Store(&turn{time.Now(), frames}) }

func (w *watchdog) end() { w.turn.Store(nil) }

// check returns an error when frames are stuck.
func (w *watchdog) check() error {
	now := w.turn.Load()
	if now == nil {
		return nil
	}
	if took := time.Since(now.began); took > scoreLimit*time.Duration(now.frames) {
		return fmt.Errorf("scoring %d frames has taken %v so far", now.frames, took.Round(time.Second))
	}
	return nil
}

// Alive returns an error when the scoring hangs. A service manager should end the process then.
func (p *Pipeline) Alive() error { return p.turns.watchdog.check() }
