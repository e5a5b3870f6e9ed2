package preview

import (
	"errors"
	"io"
	"mime"
	"net/http"
)

// whepOptions answers preflight requests, and clients that ask whether this is WHEP.
func whepOptions(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Accept-Post", "application/sdp")
	h.Set("Access-Control-Allow-Methods", "OPTIONS, HEAD, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) whepHead(w http.ResponseWriter, _ *http.Request, _ *stream) {
	w.Header().Set("Content-Type", "application/sdp")
}

// whepPost starts a session: draft-ietf-wish-whep, section 4.2.
func (s *Server) whepPost(w http.ResponseWriter, r *http.Request, st *stream) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/sdp" {
		fault(w, http.StatusUnsupportedMediaType, errors.New("want an SDP offer with Content-Type application/sdp"))
		return
	}
	if !s.joins.Allow() {
		busy(w, http.StatusTooManyRequests, errors.New("too many new sessions per second"))
		return
	}
	offer, ok := readBody(w, r, maxOffer)
	if !ok {
		return
	}
	sessions := s.sessions()
	if sessions == nil {
		busy(w, http.StatusServiceUnavailable, errClosing)
		return
	}
	v, sdp, err := sessions.join(r.Context(), st, string(offer))
	switch {
	case errors.Is(err, errBusy), errors.Is(err, errClosing):
		busy(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, errOffer):
		fault(w, http.StatusBadRequest, err)
	case err != nil:
		s.log.Warn("webrtc", "camera", st.cam.Name(), "err", err)
		fault(w, http.StatusInternalServerError, err)
	default:
		h := w.Header()
		h.Set("Content-Type", "application/sdp")
		h.Set("Location", "/whep/"+st.cam.Name()+"/"+v.id)
		h.Set("ETag", v.etag)
		h.Set("Accept-Patch", "application/trickle-ice-sdpfrag")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, sdp)
	}
}

func (s *Server) whepDelete(w http.ResponseWriter, r *http.Request, st *stream) {
	sessions := s.sessions()
	if sessions == nil {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	if _, err := sessions.find(st.cam.Name(), r.PathValue("session")); err != nil || !sessions.leave(r.PathValue("session")) {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// whepPatch takes the addresses that a viewer has found after its offer (trickle ICE, RFC 8840). It refuses an ICE
// restart with 422: the viewer starts a new session instead.
func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request, st *stream) {
	sessions := s.sessions()
	if sessions == nil {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	v, err := sessions.find(st.cam.Name(), r.PathValue("session"))
	if err != nil {
		fault(w, http.StatusNotFound, err)
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		t != "application/trickle-ice-sdpfrag" {
		fault(w, http.StatusUnsupportedMediaType, errors.New("want Content-Type application/trickle-ice-sdpfrag"))
		return
	}
	switch r.Header.Get("If-Match") {
	case v.etag:
	case "":
		fault(w, http.StatusPreconditionRequired, errors.New("want If-Match with the session's ETag"))
		return
	case "*":
		fault(w, http.StatusUnprocessableEntity, errors.New("ICE restart is not supported: start a new session"))
		return
	default:
		fault(w, http.StatusPreconditionFailed, errors.New("If-Match differs from the session's ETag"))
		return
	}
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	if err := sessions.trickle(v.id, string(body)); err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
