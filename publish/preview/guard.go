package preview

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

var errHost = errors.New("this is no name of ours: set preview.token, or add the name to preview.hosts")

// names reports whether host is one of our names: of this machine alone when only it can connect, else an address, a name
// without a domain, which no other site has, this machine's own, or one of Config.Hosts and Config.Origins.
func (c Config) names(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if isLoopback(host) || slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return true
	}
	for _, o := range c.Origins {
		if u, err := url.Parse(o); err == nil && strings.EqualFold(u.Hostname(), host) {
			return true
		}
	}
	if c.loopback() || host == "" {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	own, err := os.Hostname()
	own = strings.ToLower(own)
	return err == nil && own != "" && (host == own || host == own+".local")
}

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

// sameOrigin keeps other web sites from using the API through a viewer's browser. A request that changes something must
// come from our own page or a configured origin. Where no token protects us, the request must also name us as its host,
// so that no foreign DNS name can lead here.
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
		if !s.auth.on() && !s.cfg.names(r.Host) {
			fault(w, http.StatusForbidden, errHost)
			return
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
