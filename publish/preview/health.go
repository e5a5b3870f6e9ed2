package preview

import (
	"io"
	"net/http"
	"strings"

	"github.com/oodcast/oodcast/publish/schema"
)

// readyz reports whether the service does its work: a camera delivers frames, and the checks of WithReady pass.
// The states of all cameras are for those who may look.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	verbose := r.URL.Query().Has("verbose")
	if verbose { // it names all cameras
		if _, err := s.caller(w, r); err != nil {
			deny(w, err)
			return
		}
	}
	var faults []string
	for _, check := range s.checks {
		if err := check(); err != nil {
			faults = append(faults, err.Error())
		}
	}
	states := map[string]string{}
	delivering := len(s.cams.all()) == 0
	for _, st := range s.cams.all() {
		state := st.cam.Status().State
		states[st.cam.Name()] = state
		delivering = delivering || state == schema.StateLive || state == schema.StateEnded || state == schema.StatePaused
	}
	if !delivering {
		faults = append(faults, "no camera delivers frames")
	}
	code, reason := http.StatusOK, "ok"
	if len(faults) > 0 {
		code, reason = http.StatusServiceUnavailable, strings.Join(faults, "; ")
	}
	if verbose {
		answer(w, code, map[string]any{"ready": len(faults) == 0, "reason": reason, "cameras": states})
		return
	}
	w.WriteHeader(code)
	_, _ = io.WriteString(w, plain(reason)+"\n")
}
