package preview

import (
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"strconv"
	"time"

	"github.com/oodcast/oodcast/publish/overlay"
	"github.com/oodcast/oodcast/publish/schema"
)

// snapshotJPEG serves the newest frame, with the overlay unless ?overlay=0.
func (s *Server) snapshotJPEG(w http.ResponseWriter, r *http.Request, st *stream) {
	jpeg, captured, err := st.snapshot(r.URL.Query().Get("overlay") == "0")
	if err != nil {
		busy(w, http.StatusServiceUnavailable, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Cache-Control", "no-store")
	h.Set(schema.HeaderCaptureTime, captured.UTC().Format(time.RFC3339Nano))
	_, _ = w.Write(jpeg)
}

// streamMJPEG sends pictures until the client leaves. It serves curl, VLC and browsers without WebRTC.
func (s *Server) streamMJPEG(w http.ResponseWriter, r *http.Request, st *stream) {
	if !s.slots.take() {
		busy(w, http.StatusServiceUnavailable, errBusy)
		return
	}
	defer s.slots.free()
	pictures, stop := st.mjpeg.listen(1)
	defer stop()
	st.keyframe() // send the first picture at once
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=picture")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	for {
		select {
		case jpeg := <-pictures:
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // drop a client that hangs
			if _, err := fmt.Fprintf(w, "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n",
				len(jpeg), jpeg); err != nil {
				return
			}
			if rc.Flush() != nil {
				return
			}
		case <-st.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// mapPNG serves the newest map on its own grid: 16-bit grey from X-Value-Min to X-Value-Max, or, with ?color=1, the colours
// of package overlay.
func (s *Server) mapPNG(w http.ResponseWriter, r *http.Request, st *stream) {
	st.mu.Lock()
	m := st.mu.m
	st.mu.Unlock()
	if m == nil {
		busy(w, http.StatusServiceUnavailable, errors.New("no map has been made yet"))
		return
	}
	grey, lo, hi := overlay.Grey(m)
	h := w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cache-Control", "no-store")
	h.Set(schema.HeaderSeq, strconv.FormatUint(m.Seq, 10))
	h.Set(schema.HeaderCaptureTime, m.Captured.UTC().Format(time.RFC3339Nano))
	h.Set("X-Value-Min", strconv.FormatFloat(float64(lo), 'g', -1, 32))
	h.Set("X-Value-Max", strconv.FormatFloat(float64(hi), 'g', -1, 32))
	if r.URL.Query().Get("color") == "1" {
		_ = png.Encode(w, overlay.ToRGBA(nil, overlay.Colours(m, m.Width, m.Height), m.Width, m.Height))
		return
	}
	_ = png.Encode(w, grey)
}
