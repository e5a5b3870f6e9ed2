package preview

import (
	"slices"
	"sync"
	"time"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

const historySize = 200

// history keeps the newest message about each of the latest events.
type history struct {
	mu struct {
		sync.Mutex
		events []schema.Event // by Start, oldest first
	}
}

func (h *history) add(e schema.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := slices.IndexFunc(h.mu.events, func(o schema.Event) bool { return o.ID == e.ID })
	if at >= 0 {
		h.mu.events[at] = e
		return
	}
	h.mu.events = append(h.mu.events, e)
	if n := len(h.mu.events) - historySize; n > 0 {
		h.mu.events = slices.Delete(h.mu.events, 0, n)
	}
}

// interrupted returns the events of a camera that the previous process left open.
func (h *history) interrupted(camera string) (list []schema.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.mu.events {
		if e.Camera == camera && e.Reason == string(events.EndInterrupted) {
			list = append(list, e)
		}
	}
	return list
}

// since returns the events whose newest message is later than t, oldest first. An event that the previous process left open
// is always among them: its end has the time of its last message.
func (h *history) since(t time.Time) []schema.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := []schema.Event{}
	for _, e := range h.mu.events {
		if e.Time.After(t) || e.Reason == string(events.EndInterrupted) {
			out = append(out, e)
		}
	}
	return out
}
