package ingesttest

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Quirk is a habit of a camera that its clients have to live with.
type Quirk struct {
	Name  string
	Begin func()
	// End makes the camera behave again. Pictures come again afterwards without any help.
	End func()
}

// Quirks are the habits of the server, which sends VP8 and asks for a digest login. Only one of them may be on.
func (s *RTSPServer) Quirks() []Quirk {
	behave := func() { s.SetFault(None) }
	// after returns a quirk that clients meet when they connect.
	after := func(name string, f Fault) Quirk {
		return Quirk{name, func() { s.SetFault(f); s.Cut() }, behave}
	}
	during := func(name string, f Fault) Quirk { return Quirk{name, func() { s.SetFault(f) }, behave} }
	w, h := s.cfg.Width, s.cfg.Height
	return []Quirk{
		during("freezes, connection open", Stall),
		{"breaks off in a packet", s.Cut, func() {}},
		after("late key frames", NoKeys),
		during("timestamps jump ahead", Forward),
		during("timestamps jump back", Backward),
		{"other size after reconnect", func() { s.Resize(w/2, h/2); s.Cut() }, func() { s.Resize(w, h); s.Cut() }},
		{"other size while it plays", func() { s.Resize(h, w) }, func() { s.Resize(w, h) }},
		after("461 to TCP", RefuseTCP),
		after("461 to everything", RefuseAll),
		after("404", NotFound),
		after("454", NoSession),
		after("nonce stale at once", NewNonce),
		after("no RTCP", NoReports),
		after("connected, no answer", Mute),
		during("random RTP payload", Garbage),
	}
}

// Cut breaks every connection off in the middle of a packet.
func (s *RTSPServer) Cut() {
	s.mu.Lock()
	conns := make([]*rtspConn, 0, len(s.mu.conns))
	for c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		if c.playing.Swap(false) {
			c.write([]byte{'$', rtpChannel, 4, 176, 0x80, 96, 0, 1}) // 8 of 1204 bytes
		}
		_ = c.conn.Close()
	}
}

// refuses is the answer to a request that the fault does not grant, "" for others.
func (f Fault) refuses(method string) string {
	switch {
	case f == NotFound && method == "DESCRIBE":
		return "404 Stream Not Found"
	case f == NoSession && (method == "PLAY" || method == "GET_PARAMETER"):
		return "454 Session Not Found"
	case f == RefuseAll && method == "SETUP":
		return "461 Unsupported Transport"
	}
	return ""
}

// report sends the clients an RTCP sender report (RFC 3550, 6.4.1) if the last one is a second old.
func (s *RTSPServer) report(fault Fault) {
	const epoch = 2208988800 // of NTP, in seconds before that of Unix
	now := time.Now()
	s.mu.Lock()
	report, due := s.mu.report, s.mu.report.PacketCount > 0 && now.Sub(s.mu.reported) >= time.Second
	if due {
		s.mu.reported = now
	}
	playing := s.playersLocked()
	s.mu.Unlock()
	if !due || fault == NoReports || fault == Noise || fault == Garbage {
		return
	}
	report.NTPTime = uint64(now.Unix()+epoch)<<32 | uint64(now.Nanosecond())<<32/1e9
	raw, err := report.Marshal()
	if err != nil {
		return
	}
	for _, c := range playing {
		c.writeTo(rtcpChannel, raw)
	}
}

// judge returns the fault that answers are to show, and what a request without a valid login is challenged with.
func (s *RTSPServer) judge(method, authorization string) (fault Fault, challenge string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault = s.mu.fault
	if s.cfg.User == "" || method == "OPTIONS" {
		return fault, ""
	}
	if !s.cfg.Digest {
		if authorization == "Basic "+base64.StdEncoding.EncodeToString([]byte(s.cfg.User+":"+s.cfg.Password)) {
			return fault, ""
		}
		return fault, `Basic realm="camera"`
	}
	parts := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(authorization, -1) {
		parts[m[1]] = m[2]
	}
	hash := func(s string) string { return fmt.Sprintf("%x", md5.Sum([]byte(s))) }
	want := hash(hash(s.cfg.User+":camera:"+s.cfg.Password) + ":" + parts["nonce"] + ":" + hash(method+":"+parts["uri"]))
	nonce := func() string { return fmt.Sprintf("8b84903cb857%04x", s.mu.nonce) }
	right := strings.HasPrefix(authorization, "Digest ") && parts["username"] == s.cfg.User && parts["response"] == want
	if right && parts["nonce"] == nonce() {
		if fault == NewNonce {
			s.mu.nonce++
		}
		return fault, ""
	}
	challenge = fmt.Sprintf(`Digest realm="camera", nonce=%q`, nonce())
	if right {
		challenge += ", stale=true"
	}
	return fault, challenge
}
