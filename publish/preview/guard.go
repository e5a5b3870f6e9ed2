package preview

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// bodyInTime keeps a client from holding a connection, and the handler behind it, by sending its request slowly. A
// deadline on every request would end the streams, which read nothing.
func bodyInTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a test's writer has no deadline
		}
		next.ServeHTTP(w, r)
	})
}

// authorised lets requests pass that show the token, and all requests when none is configured.
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

// sameOrigin keeps other web sites from using the API through a viewer's browser. A request that changes something must
// come from our own page or a configured origin. Where only the loopback interface protects us, the request must also
// name it as the host, so that no foreign DNS name can lead here.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	for _, o := range s.cfg.Origins {
		_ = guard.AddTrustedOrigin(o) // checked by Validate
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fault(w, http.StatusForbidden, errors.New("requests from other web sites are refused: add the site to preview.origins"))
	}))
	inner := guard.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.loopback() && s.cfg.Token == "" && !s.cfg.Insecure {
			host, _, err := net.SplitHostPort(r.Host)
			if err != nil {
				host = r.Host
			}
			if !isLoopback(strings.Trim(host, "[]")) {
				fault(w, http.StatusForbidden, errors.New("this address serves this machine only: set preview.token"))
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
