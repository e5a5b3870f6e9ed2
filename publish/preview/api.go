package preview

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

func (s *Server) info(w http.ResponseWriter, r *http.Request) {
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
		"role": roleOf(r), "login": s.auth.on(),
	})
}

// status returns the camera's own status, completed by the number of its viewers.
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

// patch changes settings and answers with the settings in force.
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
	now, err := st.cam.Apply(s.requester(r), u)
	if err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	now.Stats.Viewers = s.Viewers(st.cam.Name())
	s.broadcast(st, "status", now)
	answer(w, http.StatusOK, now)
}

// requester returns who sent a request that changes something.
func (s *Server) requester(r *http.Request) schema.Requester {
	return schema.Requester{Via: schema.ViaHTTP, Name: schema.Clean(r.UserAgent()), Address: s.origin(r)}
}

// listEvents lists the events that changed after ?since= (RFC 3339, or Unix time in milliseconds), of all cameras or of
// ?camera= alone.
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
	body := map[string]any{"events": list}
	if changes := s.audits.since(since, r.URL.Query().Get("camera")); len(changes) > 0 {
		body["audit"] = changes
	}
	answer(w, http.StatusOK, body)
}
