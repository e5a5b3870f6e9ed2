package preview

import "sync"

// hub hands values to its listeners. A slow listener loses the oldest values; send never waits. The zero hub is ready for
// use.
type hub[T any] struct {
	mu struct {
		sync.Mutex
		listeners map[chan T]struct{}
	}
}

// listen returns a channel that keeps the newest values, depth of them. The caller stops listening with stop.
func (h *hub[T]) listen(depth int) (c <-chan T, stop func()) {
	ch := make(chan T, depth)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.listeners == nil {
		h.mu.listeners = map[chan T]struct{}{}
	}
	h.mu.listeners[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.mu.listeners, ch)
	}
}

func (h *hub[T]) send(v T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.mu.listeners {
		for sent := false; !sent; {
			select {
			case ch <- v:
				sent = true
			default:
				select {
				case <-ch: // make room
				default:
				}
			}
		}
	}
}

func (h *hub[T]) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.mu.listeners)
}
