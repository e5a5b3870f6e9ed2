package preview

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/schema"
)

// scoreMessage is the server-sent event for a map.
func scoreMessage(m *detector.Map) any {
	return map[string]any{
		"seq": m.Seq, "captured": m.Captured.UTC(), "peak": m.Peak, "mean": m.Mean, "threshold": m.Threshold,
		"area": m.AboveThreshold(), "timesteps": len(m.Timesteps),
		"latency_ms": schema.NewLatencyMS(m.Latency.Wait, m.Latency.Encode, m.Latency.Score, m.Latency.Total),
	}
}

// broadcast sends a server-sent event to the pages that show a camera.
func (s *Server) broadcast(st *stream, kind string, v any) {
	if st.live.len() == 0 {
		return
	}
	if b, err := marshal(v); err == nil {
		st.live.send(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, b))
	}
}

const maxPages = 64 // that show one camera

// liveEvents sends the scores, the events and, every second, the status of a camera as server-sent events, and the changes of
// settings of all cameras, beginning with the latest ones.
func (s *Server) liveEvents(w http.ResponseWriter, r *http.Request, st *stream) {
	if st.live.len() >= maxPages {
		busy(w, http.StatusServiceUnavailable, errors.New("too many pages show this camera"))
		return
	}
	lines, stop := st.live.listen(64)
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	every := time.NewTicker(time.Second)
	defer every.Stop()
	write := func(b []byte) bool {
		_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err := w.Write(b)
		return err == nil && rc.Flush() == nil
	}
	// A page that was open before the restart shows the interrupted events as open.
	for _, line := range append(s.interruptedLines(st.cam.Name()), s.auditLines()...) {
		if !write(line) {
			return
		}
	}
	for ok := true; ok; {
		b, err := marshal(s.status(st))
		if err != nil || !write(fmt.Appendf(nil, "event: status\ndata: %s\n\n", b)) {
			return
		}
		for waiting := true; waiting && ok; {
			select {
			case line := <-lines:
				ok = write(line)
			case <-every.C:
				waiting = false
			case <-st.gone:
				return
			case <-r.Context().Done():
				return
			}
		}
	}
}
