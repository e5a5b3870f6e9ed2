package preview

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	sdpType      = "application/sdp"
	fragmentType = "application/trickle-ice-sdpfrag"
)

// whepOptions answers preflight requests, and clients that ask whether this is WHEP.
func whepOptions(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	methods, accept := "OPTIONS, HEAD, GET, POST", "Accept-Post"
	if r.PathValue("session") != "" {
		methods, accept = "OPTIONS, HEAD, GET, PATCH, DELETE", "Accept-Patch"
		h.Set(accept, fragmentType)
	} else {
		h.Set(accept, sdpType)
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	w.WriteHeader(http.StatusNoContent)
}

// whepGet answers GET and HEAD of the endpoint, for which the draft reserves a success without content.
func (s *Server) whepGet(w http.ResponseWriter, _ *http.Request, _ *stream) {
	h := w.Header()
	h.Set("Content-Type", sdpType)
	h.Set("Accept-Post", sdpType)
	h.Set("Cache-Control", "no-store")
}

// whepGetSession answers GET and HEAD of a session.
func (s *Server) whepGetSession(w http.ResponseWriter, r *http.Request, st *stream) {
	if v := s.session(w, r, st); v != nil {
		w.Header().Set("Accept-Patch", fragmentType)
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	}
}

// whepPost starts a session: draft-ietf-wish-whep, section 4.2.
func (s *Server) whepPost(w http.ResponseWriter, r *http.Request, st *stream) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != sdpType {
		fault(w, http.StatusUnsupportedMediaType, errors.New("want an SDP offer with Content-Type application/sdp"))
		return
	}
	body, ok := readBody(w, r, maxOffer)
	if !ok {
		return
	}
	offer, err := readOffer(string(body), s.passable(r, st))
	if err != nil { // it cost us little, and does not count
		fault(w, http.StatusBadRequest, err)
		return
	}
	if !s.joins.take(s.clientAddr(r)) {
		busy(w, http.StatusTooManyRequests, errors.New("too many new sessions per second from this address"))
		return
	}
	sessions := s.sessions()
	if sessions == nil {
		busy(w, http.StatusServiceUnavailable, errClosing)
		return
	}
	v, sdp, err := sessions.join(r.Context(), st, offer)
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
		h.Set("Content-Type", sdpType)
		h.Set("Location", sessionPlace(r, st, v))
		h.Set("ETag", v.negotiation.etag)
		h.Set("Accept-Patch", fragmentType)
		w.WriteHeader(http.StatusCreated)
		if _, err := io.WriteString(w, sdp); err != nil || r.Context().Err() != nil {
			sessions.leave(v.id) // the viewer left before it had the answer
		}
	}
}

// sessionPlace returns the address of a session relative to that of the request: a reverse proxy may have put us below a
// path that we do not know.
func sessionPlace(r *http.Request, st *stream, v *session) string {
	if strings.HasSuffix(r.URL.Path, "/") {
		return v.id
	}
	return st.cam.Name() + "/" + v.id
}

// session returns the session of a request, or answers that there is none and returns nil.
func (s *Server) session(w http.ResponseWriter, r *http.Request, st *stream) *session {
	if sessions := s.sessions(); sessions != nil {
		if v, err := sessions.find(st.cam.Name(), r.PathValue("session")); err == nil {
			return v
		}
	}
	fault(w, http.StatusNotFound, errUnknown)
	return nil
}

func (s *Server) whepDelete(w http.ResponseWriter, r *http.Request, st *stream) {
	v := s.session(w, r, st)
	if v == nil {
		return
	}
	if !s.sessions().leave(v.id) {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// whepPatch takes the addresses that a viewer has found after its offer (trickle ICE, RFC 8840), and restarts ICE when
// the viewer's credentials have changed. If-Match is not needed; players send none, "*", or the session's ETag.
func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request, st *stream) {
	v := s.session(w, r, st)
	if v == nil {
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != fragmentType {
		w.Header().Set("Accept-Patch", fragmentType)
		fault(w, http.StatusUnsupportedMediaType, errors.New("want Content-Type "+fragmentType))
		return
	}
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	ours, etag, err := s.sessions().update(r.Context(), v, strings.Join(r.Header.Values("If-Match"), ","), string(body))
	switch {
	case errors.Is(err, errUnknown):
		fault(w, http.StatusNotFound, err)
	case errors.Is(err, errETag):
		fault(w, http.StatusPreconditionFailed, err)
	case errors.Is(err, errFragment), errors.Is(err, errOffer):
		fault(w, http.StatusBadRequest, err)
	case err != nil:
		s.log.Warn("webrtc", "camera", st.cam.Name(), "err", err)
		fault(w, http.StatusInternalServerError, err)
	case ours == "":
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", fragmentType)
		w.Header().Set("ETag", etag)
		_, _ = io.WriteString(w, ours)
	}
}
