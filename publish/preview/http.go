package preview

import (
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/oodcast/oodcast/publish/schema"
)

//go:embed page.html
var page []byte

const (
	maxOffer = 64 << 10 // bytes of an SDP offer
	maxJSON  = 16 << 10

	bodyTimeout = 5 * time.Second // for what a client sends
)

// Handler is everything that is served. It works without Run, except for WebRTC.
func (s *Server) Handler() http.Handler {
	open := http.NewServeMux() // for everybody: the page asks for the token itself
	open.HandleFunc("GET /{$}", servePage)
	open.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	open.HandleFunc("GET /readyz", s.readyz)
	open.HandleFunc("GET /healthz", s.readyz)
	open.HandleFunc("OPTIONS /api/", apiOptions)
	open.HandleFunc("OPTIONS /whep/{camera}", whepOptions)
	open.HandleFunc("OPTIONS /whep/{camera}/{session}", whepOptions)

	closed := http.NewServeMux()
	closed.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	closed.HandleFunc("GET /api/v1/info", s.info)
	closed.HandleFunc("GET /api/v1/cameras", s.cameras)
	closed.HandleFunc("GET /api/v1/events", s.listEvents)
	closed.HandleFunc("GET /api/v1/events/{id}/{file}", s.eventFile)
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *stream){
		"GET /api/v1/cameras/{camera}":              s.camera,
		"PATCH /api/v1/cameras/{camera}":            s.patch,
		"GET /api/v1/cameras/{camera}/snapshot.jpg": s.snapshotJPEG,
		"GET /api/v1/cameras/{camera}/stream.mjpg":  s.streamMJPEG,
		"GET /api/v1/cameras/{camera}/map.png":      s.mapPNG,
		"GET /api/v1/cameras/{camera}/live":         s.liveEvents,
		"HEAD /whep/{camera}":                       s.whepHead,
		"POST /whep/{camera}":                       s.whepPost,
		"DELETE /whep/{camera}/{session}":           s.whepDelete,
		"PATCH /whep/{camera}/{session}":            s.whepPatch,
	} {
		closed.HandleFunc(pattern, s.withCamera(h))
	}
	if s.cfg.Pprof {
		profiles(closed)
	}
	open.Handle("/", s.authorised(closed))
	return bodyInTime(s.sameOrigin(open))
}

// bodyInTime does not let a client hold a connection, and what waits for its request, by sending it slowly. A deadline for
// all requests would end the streams, which read nothing.
func bodyInTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a test's writer has none
		}
		next.ServeHTTP(w, r)
	})
}

// profiles serves what package pprof would on the default mux, but for the command line, which may hold secrets.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.Handle("GET /debug/pprof/cmdline", http.NotFoundHandler())
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}

// withCamera looks up the camera of a request.
func (s *Server) withCamera(h func(http.ResponseWriter, *http.Request, *stream)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st := s.cams.get(r.PathValue("camera"))
		if st == nil {
			fault(w, http.StatusNotFound, fmt.Errorf("no camera %q", r.PathValue("camera")))
			return
		}
		h(w, r, st)
	}
}

// authorised asks for the token, if there is one.
func (s *Server) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Token != "" {
			got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok {
				got = r.URL.Query().Get("token")
			}
			if subtle.ConstantTimeCompare([]byte(got), []byte(s.cfg.Token)) != 1 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="oodcast"`)
				fault(w, http.StatusUnauthorized, errors.New("a token is needed: Authorization: Bearer … or ?token=…"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin keeps other web sites that a viewer has open from using us through the viewer's browser: requests that
// change something must come from our own page (or an origin that is configured), and where only the loopback
// interface protects us, the request must name it, so that no foreign DNS name can lead here.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	for _, o := range s.cfg.Origins {
		_ = guard.AddTrustedOrigin(o) // checked by Validate
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fault(w, http.StatusForbidden, errors.New("another web site may not do this: add it to preview.origins"))
	}))
	inner := guard.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.loopback() && s.cfg.Token == "" && !s.cfg.Insecure {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = r.Host
			}
			if !isLoopback(strings.Trim(host, "[]")) {
				fault(w, http.StatusForbidden, errors.New("this address is for this machine only: set preview.token"))
				return
			}
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if origin := r.Header.Get("Origin"); origin != "" && s.trusts(origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag, Location, Link, Accept-Patch")
			h.Set("Cross-Origin-Resource-Policy", "cross-origin")
			h.Add("Vary", "Origin")
		}
		inner.ServeHTTP(w, r)
	})
}

func (s *Server) trusts(origin string) bool {
	for _, o := range s.cfg.Origins {
		if o == origin {
			return true
		}
	}
	return false
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "+
		"img-src 'self' data:; media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; "+
		"base-uri 'none'; form-action 'none'")
	_, _ = w.Write(page)
}

// fault answers with a JSON error.
func fault(w http.ResponseWriter, code int, err error) {
	answer(w, code, schema.Fault{Error: err.Error()})
}

// readBody returns what the client sent. When that is too much, or does not come in time, it answers and returns false.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fault(w, http.StatusRequestEntityTooLarge, fmt.Errorf("request of more than %d bytes", most))
	case err == nil: // the deadline was for the body, and would cut off who answers it
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	default:
		fault(w, http.StatusRequestTimeout, fmt.Errorf("the request did not come whole within %v", bodyTimeout))
	}
	return b, err == nil
}

func answer(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", schema.JSONType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // a client that is gone is no fault of ours
}

// apiOptions answers what a browser asks before a page of another origin may use the API; see Config.Origins.
func apiOptions(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, HEAD, GET, PATCH")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	w.WriteHeader(http.StatusNoContent)
}

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
		busy(w, http.StatusTooManyRequests, errors.New("too many sessions a second"))
		return
	}
	offer, ok := readBody(w, r, maxOffer)
	if !ok {
		return
	}
	rooms := s.sessions()
	if rooms == nil {
		busy(w, http.StatusServiceUnavailable, errClosing)
		return
	}
	v, sdp, err := rooms.join(r.Context(), st, string(offer))
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

func busy(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Retry-After", "5")
	fault(w, code, err)
}

func (s *Server) whepDelete(w http.ResponseWriter, r *http.Request, st *stream) {
	rooms := s.sessions()
	if rooms == nil {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	if _, err := rooms.find(st.cam.Name(), r.PathValue("session")); err != nil || !rooms.leave(r.PathValue("session")) {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// whepPatch takes the addresses that a viewer found after its offer (trickle ICE, RFC 8840). A restart of ICE is
// refused with 422: the viewer starts a new session instead.
func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request, st *stream) {
	rooms := s.sessions()
	if rooms == nil {
		fault(w, http.StatusNotFound, errUnknown)
		return
	}
	v, err := rooms.find(st.cam.Name(), r.PathValue("session"))
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
		fault(w, http.StatusPreconditionFailed, errors.New("If-Match is not the session's ETag"))
		return
	}
	body, ok := readBody(w, r, maxJSON)
	if !ok {
		return
	}
	if err := rooms.trickle(v.id, string(body)); err != nil {
		fault(w, http.StatusBadRequest, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
