package preview

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	reservedFiles = 128                    // descriptors that connections leave to cameras, NATS and evidence
	fewest        = 16                     // connections that are allowed in any case
	newcomer      = 250 * time.Millisecond // for a new connection to send its first request while others wait
)

// connections is a listener that bounds how many connections are open, in all and for each address. When there are too
// many, the one that has been idle longest makes room, so that clients who only hold connections keep nobody out.
type connections struct {
	net.Listener
	most, perAddress int
	isProxy          func(netip.Addr) bool // proxies carry many clients
	turnedAway       func()

	mu struct {
		sync.Mutex
		open map[net.Conn]*connection
		from map[netip.Addr]int
	}
}

// connection is an open connection. state is http.StateNew, StateActive or StateIdle.
type connection struct {
	addr  netip.Addr
	state http.ConnState
	since time.Time
}

func (s *Server) limit(ln net.Listener) *connections {
	c := &connections{
		Listener: ln, most: affordable(s.cfg.Connections.Max, s.log), perAddress: s.cfg.Connections.PerAddress,
		isProxy: s.cfg.isProxy, turnedAway: s.metrics.turnedAway.Inc,
	}
	c.mu.open, c.mu.from = map[net.Conn]*connection{}, map[netip.Addr]int{}
	return c
}

// affordable reduces the number of connections to what the limit of descriptors leaves.
func affordable(most int, log *slog.Logger) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur >= uint64(most)+reservedFiles {
		return most
	}
	n := max(fewest, int(files.Cur)-reservedFiles)
	if n < most {
		log.Warn("fewer connections than preview.connections.max: raise the limit of open files",
			"connections", n, "open_files", files.Cur)
	}
	return min(n, most)
}

// Accept returns the next connection for which there is room.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil || c.admit(conn) {
			return conn, err
		}
		c.turnedAway()
		_ = conn.Close()
	}
}

func (c *connections) admit(conn net.Conn) bool {
	client := addrOf(conn.RemoteAddr().String())
	addr := network(client)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.from[addr] >= c.perAddress && !c.isProxy(client) &&
		!c.makeRoom(func(o *connection) bool { return o.addr == addr }) {
		return false
	}
	if len(c.mu.open) >= c.most && !c.makeRoom(func(*connection) bool { return true }) {
		return false
	}
	c.mu.open[conn] = &connection{addr: addr, state: http.StateNew, since: time.Now()}
	c.mu.from[addr]++
	return true
}

// makeRoom closes the connection that has been idle longest, or else the oldest one that has not sent a request, among
// those that may is true for. It reports false when there is none.
func (c *connections) makeRoom(may func(*connection) bool) bool {
	var worst net.Conn
	for conn, o := range c.mu.open {
		if !may(o) || o.state == http.StateActive || o.state == http.StateNew && time.Since(o.since) < newcomer {
			continue
		}
		if worst == nil || worse(o, c.mu.open[worst]) {
			worst = conn
		}
	}
	if worst == nil {
		return false
	}
	c.remove(worst)
	_ = worst.Close()
	return true
}

func worse(a, b *connection) bool {
	if a.state != b.state {
		return a.state == http.StateIdle
	}
	return a.since.Before(b.since)
}

func (c *connections) remove(conn net.Conn) {
	o := c.mu.open[conn]
	if o == nil {
		return
	}
	delete(c.mu.open, conn)
	if c.mu.from[o.addr]--; c.mu.from[o.addr] == 0 {
		delete(c.mu.from, o.addr)
	}
}

// changed follows the states of connections; it is the ConnState of the HTTP server.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch o := c.mu.open[conn]; {
	case o == nil: // removed before
	case state == http.StateClosed || state == http.StateHijacked:
		c.remove(conn)
	default:
		o.state, o.since = state, time.Now()
	}
}
