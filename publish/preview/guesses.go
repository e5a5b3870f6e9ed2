package preview

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	guessBurst = 10               // wrong tokens that an address may send at once
	guessEvery = 10 * time.Second // and one more after each such time
	relayBurst = 200              // wrong tokens that may come through a proxy at once, from whomever it says
	relayEvery = time.Second
	joinBurst  = 40 // WebRTC sessions that an address may start at once
	joinEvery  = 50 * time.Millisecond
	mostKnown  = 4096 // addresses that are remembered
)

// quotas limits how often each address may do something: burst times at once, and once more every so often.
type quotas struct {
	burst float64
	every time.Duration
	mu    struct {
		sync.Mutex
		used map[netip.Addr]used
	}
}

// used are the attempts of an address that count at a time.
type used struct {
	n  float64
	at time.Time
}

func (g *quotas) now(a netip.Addr, t time.Time) float64 {
	u := g.mu.used[a]
	return max(0, u.n-float64(t.Sub(u.at))/float64(g.every))
}

// take counts an attempt, and reports false when the address has none left.
func (g *quotas) take(a netip.Addr) bool {
	a, now := network(a), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.now(a, now)
	if n+1 > g.burst {
		return false
	}
	if g.mu.used == nil {
		g.mu.used = map[netip.Addr]used{}
	}
	g.forget(now)
	g.mu.used[a] = used{n: n + 1, at: now}
	return true
}

// giveBack takes back an attempt, because it does not count: the token was right.
func (g *quotas) giveBack(a netip.Addr) {
	a, now := network(a), time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.now(a, now) - 1; n > 0 {
		g.mu.used[a] = used{n: n, at: now}
	} else {
		delete(g.mu.used, a)
	}
}

// forget makes room for another address: it removes those whose attempts no longer count, or else the one that has been
// quiet longest.
func (g *quotas) forget(now time.Time) {
	if len(g.mu.used) < mostKnown {
		return
	}
	var quiet netip.Addr
	for a, u := range g.mu.used {
		if g.now(a, now) == 0 {
			delete(g.mu.used, a)
		} else if !quiet.IsValid() || u.at.Before(g.mu.used[quiet].at) {
			quiet = a
		}
	}
	if len(g.mu.used) >= mostKnown {
		delete(g.mu.used, quiet)
	}
}

// network returns what belongs to one client: an address, or 64 bits of an IPv6 address.
func network(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// clientAddr returns the address of the client. Behind one of Config.Proxies that is the last one of X-Forwarded-For that is
// not itself a proxy.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	a := addrOf(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.cfg.isProxy(a); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		a = next.Unmap().WithZone("")
	}
	return a
}

// origin returns where a request came from, for the audit: the address and port of the connection, and behind a proxy the
// address of its client.
func (s *Server) origin(r *http.Request) string {
	if !s.cfg.isProxy(addrOf(r.RemoteAddr)) {
		return r.RemoteAddr
	}
	return s.clientAddr(r).String()
}

// addrOf returns the address in HOST:PORT.
func addrOf(hostPort string) netip.Addr {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	a, _ := netip.ParseAddr(host)
	return a.Unmap().WithZone("")
}

// isProxy reports whether an address is one of Config.Proxies.
func (c Config) isProxy(a netip.Addr) bool {
	for _, p := range c.Proxies {
		if prefix, err := parsePrefix(p); err == nil && prefix.Contains(a) {
			return true
		}
	}
	return false
}

// parsePrefix reads an address or a network.
func parsePrefix(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		p, err := netip.ParsePrefix(text)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}
