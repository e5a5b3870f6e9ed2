package ingesttest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// rtspConn is one client of an RTSPServer.
type rtspConn struct {
	conn    net.Conn
	playing atomic.Bool
	udp     [2]net.Conn // where RTP and RTCP go; nil: into the connection. Set before playing
	writing sync.Mutex  // answers and pictures are sent from different goroutines
}

// write sends b. A client that does not take it within a second gets no more pictures.
func (c *rtspConn) write(b []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.conn.Write(b); err != nil {
		c.playing.Store(false)
	}
}

// The channels of a stream.
const (
	rtpChannel  = 0
	rtcpChannel = 1
)

// writeTo sends an RTP or RTCP packet.
func (c *rtspConn) writeTo(channel int, raw []byte) {
	if udp := c.udp[channel]; udp != nil {
		_, _ = udp.Write(raw)
		return
	}
	c.write(append([]byte{'$', byte(channel), byte(len(raw) >> 8), byte(len(raw))}, raw...))
}

// setupUDP opens the way to the ports that a client names, and returns the answer's transport.
func (c *rtspConn) setupUDP(transport string) (string, error) {
	c.closeUDP()
	_, ports, _ := strings.Cut(transport, "client_port=")
	rtpPort, rtcpPort, _ := strings.Cut(ports, "-")
	host, _, err := net.SplitHostPort(c.conn.RemoteAddr().String())
	if err != nil {
		return "", err
	}
	var own [2]string
	for i, port := range []string{rtpPort, rtcpPort} {
		if c.udp[i], err = net.Dial("udp", net.JoinHostPort(host, port)); err != nil {
			return "", err
		}
		if _, own[i], err = net.SplitHostPort(c.udp[i].LocalAddr().String()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("RTP/AVP;unicast;client_port=%s;server_port=%s-%s", ports, own[0], own[1]), nil
}

func (c *rtspConn) closeUDP() {
	for _, udp := range c.udp {
		if udp != nil {
			_ = udp.Close()
		}
	}
}

// serve answers requests until the client disconnects.
func (c *rtspConn) serve(s *RTSPServer) {
	r := bufio.NewReader(c.conn)
	for {
		first, err := r.Peek(1)
		if err != nil {
			return
		}
		if first[0] == '$' { // RTCP from the client
			head := make([]byte, 4)
			if _, err := io.ReadFull(r, head); err != nil {
				return
			}
			if _, err := r.Discard(int(binary.BigEndian.Uint16(head[2:]))); err != nil {
				return
			}
			continue
		}
		text := textproto.NewReader(r)
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		method, target, _ := strings.Cut(line, " ")
		header, err := text.ReadMIMEHeader()
		if err != nil {
			return
		}
		s.mu.Lock()
		mute := s.mu.fault == Mute
		s.mu.Unlock()
		if mute {
			continue
		}
		if !c.answer(s, method, target, header) {
			return
		}
	}
}

// answer replies to one request and reports whether the connection goes on.
func (c *rtspConn) answer(s *RTSPServer, method, target string, header textproto.MIMEHeader) bool {
	reply := func(status, extra, body string) {
		if body != "" {
			extra += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		c.write(fmt.Appendf(nil, "RTSP/1.0 %s\r\nCSeq: %s\r\n%s\r\n%s", status, header.Get("CSeq"), extra, body))
	}
	fault, challenge := s.judge(method, header.Get("Authorization"))
	if challenge != "" {
		reply("401 Unauthorized", "WWW-Authenticate: "+challenge+"\r\n", "")
		return true
	}
	if refusal := fault.refuses(method); refusal != "" {
		reply(refusal, "", "")
		return true
	}
	switch method {
	case "OPTIONS":
		reply("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n", "")
	case "DESCRIBE":
		base, _, _ := strings.Cut(target, " ")
		reply("200 OK", "Content-Type: application/sdp\r\nContent-Base: "+base+"/\r\n",
			"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 0.0.0.0\r\n"+
				"a=rtpmap:96 "+s.cfg.Codec+"/90000\r\na=control:trackID=0\r\n")
	case "SETUP":
		transport := header.Get("Transport")
		udp := s.cfg.UDP || fault == RefuseTCP
		if strings.Contains(transport, "TCP") == udp {
			reply("461 Unsupported Transport", "", "")
			return true
		}
		if udp {
			transport, err := c.setupUDP(transport)
			if err != nil {
				reply("500 Internal Server Error", "", "")
				return true
			}
			reply("200 OK", "Transport: "+transport+"\r\nSession: 1;timeout=60\r\n", "")
			return true
		}
		reply("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1;timeout=60\r\n", "")
	case "PLAY":
		reply("200 OK", "Session: 1\r\n", "")
		s.mu.Lock()
		s.mu.forceKey = true
		s.mu.Unlock()
		c.playing.Store(true)
	case "TEARDOWN":
		reply("200 OK", "", "")
		return false
	default:
		reply("200 OK", "", "")
	}
	return true
}
