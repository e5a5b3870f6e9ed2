package preview

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/oodcast/oodcast/publish/schema"
)

const (
	maxOffer = 64 << 10 // bytes of an SDP offer
	maxJSON  = 16 << 10 // bytes of any other request

	bodyTimeout = 5 * time.Second // for a client to send its request
)

// Handler returns the handler of all addresses. Without Run everything but WebRTC works.
func (s *Server) Handler() http.Handler {
	open := http.NewServeMux() // without a token: the page asks for it, and its files hold no secret
	open.HandleFunc("GET /{$}", s.enter)
	open.HandleFunc("GET /page/{file}", servePagePart)
	open.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	open.HandleFunc("GET /readyz", s.readyz)
	open.HandleFunc("GET /healthz", s.readyz)
	open.HandleFunc("POST /api/v1/login", s.logIn)
	open.HandleFunc("POST /api/v1/logout", s.logOut)
	open.HandleFunc("OPTIONS /api/", apiOptions)
	for _, place := range []string{"/whep/{camera}", "/whep/{camera}/{$}", "/whep/{camera}/{session}", "/whep/{camera}/{session}/{$}"} {
		open.HandleFunc("OPTIONS "+place, whepOptions)
	}

	closed := http.NewServeMux()
	closed.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	closed.HandleFunc("GET /api/v1/info", s.info)
	closed.HandleFunc("GET /api/v1/cameras", s.cameras)
	closed.HandleFunc("GET /api/v1/events", s.listEvents)
	closed.HandleFunc("GET /api/v1/events/{id}/{file}", s.eventFile)
	closed.HandleFunc("PATCH /api/v1/cameras/{camera}", adminOnly(s.withCamera(s.patch)))
	closed.HandleFunc("POST /api/v1/cameras/{camera}/normal", adminOnly(s.withCamera(s.teach)))
	closed.HandleFunc("DELETE /api/v1/cameras/{camera}/normal/{lesson}", adminOnly(s.withCamera(s.forget)))
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, *stream){
		"GET /api/v1/cameras/{camera}":              s.camera,
		"GET /api/v1/cameras/{camera}/snapshot.jpg": s.snapshotJPEG,
		"GET /api/v1/cameras/{camera}/stream.mjpg":  s.streamMJPEG,
		"GET /api/v1/cameras/{camera}/map.png":      s.mapPNG,
		"GET /api/v1/cameras/{camera}/live":         s.liveEvents,
		"GET /api/v1/cameras/{camera}/normal":       s.listLessons,
		"GET /whep/{camera}":                        s.whepGet, // and HEAD
		"POST /whep/{camera}":                       s.whepPost,
		"GET /whep/{camera}/{session}":              s.whepGetSession,
		"DELETE /whep/{camera}/{session}":           s.whepDelete,
		"PATCH /whep/{camera}/{session}":            s.whepPatch,
	} {
		closed.HandleFunc(pattern, s.withCamera(h))
		if strings.Contains(pattern, "/whep/") { // players append a slash
			closed.HandleFunc(pattern+"/{$}", s.withCamera(h))
		}
	}
	if s.cfg.Pprof {
		profiles(closed)
	}
	open.Handle("/", s.authorised(closed))
	return bodyInTime(s.sameOrigin(open))
}

// profiles serves what package pprof serves on the default mux, except the command line: it may hold secrets.
func profiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", adminOnly(pprof.Index))
	mux.Handle("GET /debug/pprof/cmdline", http.NotFoundHandler())
	mux.HandleFunc("GET /debug/pprof/profile", adminOnly(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", adminOnly(pprof.Trace))
}

// withCamera calls h with the camera of a request, or answers that there is none.
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

// fault answers with a JSON error.
func fault(w http.ResponseWriter, code int, err error) {
	answer(w, code, schema.Fault{Error: err.Error()})
}

// readBody returns the body of a request. When it is too large or too slow, readBody answers and returns false.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, bool) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fault(w, http.StatusRequestEntityTooLarge, fmt.Errorf("request of more than %d bytes", most))
	case err == nil: // the deadline was for the body alone; it would cut off a slow answer
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	default:
		fault(w, http.StatusRequestTimeout, fmt.Errorf("the request was not complete within %v", bodyTimeout))
	}
	return b, err == nil
}

func answer(w http.ResponseWriter, code int, v any) {
	b, err := marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", schema.JSONType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // a client that has left is not our fault
}

// apiOptions answers the preflight request of a browser for a page of another origin; see Config.Origins.
func apiOptions(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "OPTIONS, HEAD, GET, PATCH")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	w.WriteHeader(http.StatusNoContent)
}

// busy answers with an error that another attempt may not meet.
func busy(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Retry-After", "5")
	fault(w, code, err)
}
