package preview

import (
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/overlay"
	"github.com/oodcast/oodcast/publish/schema"
)

// readyz says whether the service does its work: the caller's checks pass and a camera delivers.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	err := s.checks()
	states := map[string]string{}
	delivering := len(s.cams.all()) == 0
	for _, st := range s.cams.all() {
		state := st.cam.Status().State
		states[st.cam.Name()] = state
		delivering = delivering || state == schema.StateLive || state == schema.StateEnded || state == schema.StatePaused
	}
	if err == nil && !delivering {
		err = errors.New("no camera delivers frames")
	}
	code, reason := http.StatusOK, "ok"
	if err != nil {
		code, reason = http.StatusServiceUnavailable, err.Error()
	}
	if r.URL.Query().Has("verbose") {
		answer(w, code, map[string]any{"ready": err == nil, "reason": reason, "cameras": states})
		return
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, reason+"\n")
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	for _, st := range s.cams.all() {
		names = append(names, st.cam.Name())
	}
	nats := map[string]any{"state": "off"}
	if s.bus.Subjects != "" {
		nats = map[string]any{"state": "away", "subjects": s.bus.Subjects}
		if s.bus.Connected() {
			nats["state"] = "connected"
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"name": "oodcast", "version": s.version, "site": s.site, "started": s.started.UTC(), "cameras": names, "nats": nats,
	})
}

// status is what a camera says of itself, and its viewers.
func (s *Server) status(st *stream) schema.Status {
	v := st.cam.Status()
	v.Stats.Viewers = s.Viewers(st.cam.Name())
	return v
}

func (s *Server) cameras(w http.ResponseWriter, _ *http.Request) {
	list := []schema.Status{}
	for _, st := range s.cams.all() {
		list = append(list, s.status(st))
	}
	answer(w, http.StatusOK, map[string]any{"cameras": list})
}

func (s *Server) camera(w http.ResponseWriter, _ *http.Request, st *stream) {
	answer(w, http.StatusOK, s.status(st))
}

// patch changes settings and answers with what is in force.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, st *stream) {
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	u, err := schema.ParseUpdate(body)
	if err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	now, err := st.cam.Apply(u)
	if err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	now.Stats.Viewers = s.Viewers(st.cam.Name())
	s.tell(st, "status", now)
	answer(w, http.StatusOK, now)
}

// listEvents returns events that changed after ?since= (RFC 3339, or Unix time in milliseconds) of ?camera=.
func (s *Server) listEvents(w http.ResponseWriter, r *http.Request) {
	var since time.Time
	if q := r.URL.Query().Get("since"); q != "" {
		if ms, err := strconv.ParseInt(q, 10, 64); err == nil {
			since = time.UnixMilli(ms)
		} else if since, err = time.Parse(time.RFC3339Nano, q); err != nil {
			fault(w, http.StatusBadRequest, fmt.Errorf("since: got %.40q, want RFC 3339 or Unix milliseconds", q))
			return
		}
	}
	list := s.events.since(since)
	if camera := r.URL.Query().Get("camera"); camera != "" {
		kept := []schema.Event{}
		for _, e := range list {
			if e.Camera == camera {
				kept = append(kept, e)
			}
		}
		list = kept
	}
	answer(w, http.StatusOK, map[string]any{"events": list})
}

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

// streamMJPEG sends pictures until the client leaves: for curl, VLC and browsers without WebRTC.
func (s *Server) streamMJPEG(w http.ResponseWriter, r *http.Request, st *stream) {
	if !s.places.book() {
		busy(w, http.StatusServiceUnavailable, errBusy)
		return
	}
	defer s.places.free()
	pictures, stop := st.mjpeg.listen(1)
	defer stop()
	st.keyframe() // the first picture at once
	w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=picture")
	w.Header().Set("Cache-Control", "no-store")
	rc := http.NewResponseController(w)
	for {
		select {
		case jpeg := <-pictures:
			_ = rc.SetWriteDeadline(time.Now().Add(10 * time.Second)) // a client that hangs is let go
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

// mapPNG serves the newest map on its own grid: 16 bit grey from X-Value-Min to X-Value-Max, or colours with ?color=1.
func (s *Server) mapPNG(w http.ResponseWriter, r *http.Request, st *stream) {
	st.mu.Lock()
	m := st.mu.m
	st.mu.Unlock()
	if m == nil {
		busy(w, http.StatusServiceUnavailable, errors.New("no map has been made yet"))
		return
	}
	lo, hi := m.Values[0], m.Values[0]
	for _, v := range m.Values {
		lo, hi = min(lo, v), max(hi, v)
	}
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
	img := image.NewGray16(image.Rect(0, 0, m.Width, m.Height))
	k := math.MaxUint16 / max(float64(hi-lo), 1e-9)
	for i, v := range m.Values {
		img.SetGray16(i%m.Width, i/m.Width, color.Gray16{Y: uint16(float64(v-lo)*k + 0.5)})
	}
	_ = png.Encode(w, img)
}

// scoreLine is what the page gets for every map.
func scoreLine(m *detector.Map) any {
	return map[string]any{
		"seq": m.Seq, "captured": m.Captured.UTC(), "peak": m.Peak, "mean": m.Mean, "threshold": m.Threshold,
		"area": m.AboveThreshold(), "timesteps": len(m.Timesteps),
		"latency_ms": schema.LatencyMS{
			Wait: publish.Millis(m.Latency.Wait), Encode: publish.Millis(m.Latency.Encode),
			Score: publish.Millis(m.Latency.Score), Total: publish.Millis(m.Latency.Total),
		},
	}
}

// tell sends a server-sent event to the pages that show a camera.
func (s *Server) tell(st *stream, kind string, v any) {
	if st.live.len() == 0 {
		return
	}
	if b, err := json.Marshal(v); err == nil {
		st.live.send(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, b))
	}
}

const maxPages = 64 // that listen to one camera

// liveEvents sends scores, events and the status of a camera as server-sent events.
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
	for ok := true; ok; {
		b, err := json.Marshal(s.status(st))
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
