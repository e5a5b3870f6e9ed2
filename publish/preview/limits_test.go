package preview

import (
	"net/http"
	"net/netip"
	"testing"
	"time"
)

// Clients are told apart by address, those of IPv6 by the network that one of them has; proxies are followed from the end.
func TestClientAddr(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Proxies = []string{"::1", "10.0.0.0/8"}
	s, err := New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.7:80", "", "192.0.2.7"},
		{"192.0.2.7:80", "203.0.113.1", "192.0.2.7"},
		{"[::ffff:10.0.0.1]:80", "203.0.113.1", "203.0.113.1"},
		{"[::1]:80", "203.0.113.1, 10.1.1.1", "203.0.113.1"},
		{"[::1]:80", "198.51.100.9, 203.0.113.1", "203.0.113.1"},
		{"[::1]:80", "10.1.1.1", "10.1.1.1"},
		{"[::1]:80", "garbage", "::1"},
		{"[::1]:80", "", "::1"},
		{"[fe80::1%eth0]:80", "", "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.clientAddr(r); got.String() != c.want {
			t.Errorf("%s, forwarded for %q: %v, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
	if a, b := network(netip.MustParseAddr("2001:db8::1")), network(netip.MustParseAddr("2001:db8::ffff:1")); a != b {
		t.Errorf("%v and %v are two clients", a, b)
	}
}

// Quotas come back with time, and the table of addresses is bounded.
func TestQuotas(t *testing.T) {
	q := quotas{burst: 2, every: time.Hour}
	a := netip.MustParseAddr("192.0.2.7")
	if !q.take(a) || !q.take(a) || q.take(a) {
		t.Error("want two of three")
	}
	q.giveBack(a)
	if !q.take(a) || q.take(a) {
		t.Error("want one that was given back")
	}
	u := q.mu.used[network(a)]
	u.at = u.at.Add(-90 * time.Minute)
	q.mu.used[network(a)] = u
	if !q.take(a) || q.take(a) {
		t.Error("want one after an hour")
	}
	b := netip.MustParseAddr("10.0.0.0")
	for range mostKnown + 100 {
		b = b.Next()
		q.take(b)
	}
	if n := len(q.mu.used); n > mostKnown {
		t.Errorf("%d addresses are known", n)
	}
}
