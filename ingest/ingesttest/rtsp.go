package ingesttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/oodcast/oodcast/publish/vp8"
)

// Fault is a misbehaviour of an RTSPServer.
type Fault int

// The faults. A fault affects running and new connections alike until another one is set.
const (
	None      Fault = iota
	Stall           // connections stay open, but no more pictures come
	Mute            // new connections are accepted and never answered
	Garbage         // RTP packets carry random bytes
	Noise           // random bytes come instead of RTP
	NoKeys          // key frames are left out (VP8, H264)
	Forward         // the timestamps jump ahead by TimeJump every ten pictures (VP8)
	Backward        // the timestamps jump back by TimeJump every ten pictures (VP8)
	NoReports       // no RTCP sender reports come
	RefuseTCP       // 461 is the answer to RTP in TCP
	RefuseAll       // 461 is the answer to every transport
	NotFound        // 404 is the answer to DESCRIBE
	NoSession       // 454 is the answer to PLAY and to GET_PARAMETER
	NewNonce        // every request makes the nonce of a digest login stale
)

// TimeJump is how far timestamps jump.
const TimeJump = 50 * time.Second

// RTSPConfig describes the stream of an RTSPServer.
type RTSPConfig struct {
	// Width and Height in pixels, at least ClockWidth x ClockHeight. Default 320x240.
	Width, Height int
	// FPS is the number of pictures per second. Default 10.
	FPS float64
	// Picture draws the pictures, over which the clock is stamped. Default Bars.
	Picture Picture
	// Codec is VP8, the default, or H264 or H265, which the program ffmpeg encodes.
	Codec string
	// Profile of H264: baseline, main or high. Default: what costs the least.
	Profile string
	// BFrames is the number of pictures of H264 between two others that refer to both.
	BFrames int
	// KeyInterval of H264 and H265 is the number of pictures from key frame to key frame. Default 10.
	KeyInterval int
	// UDP refuses RTP in TCP, as some cameras do.
	UDP bool
	// User and Password are required from clients when User is set.
	User, Password string
	// Digest asks for a digest login (RFC 2069) instead of a basic one.
	Digest bool
}

const anyPort = "127.0.0.1:0"

// RTSPServer sends one stream over RTSP 1.0, interleaved in TCP, to all clients. The pixels of each picture hold its time; see
// ReadClock. It is safe for concurrent use.
type RTSPServer struct {
	cfg  RTSPConfig
	addr string
	stop chan struct{}
	wg   sync.WaitGroup

	mu struct {
		sync.Mutex
		listener      net.Listener
		conns         map[*rtspConn]bool
		fault         Fault
		width, height int
		forceKey      bool
		sent          int
		nonce         int // of the digest login, counted
		reported      time.Time
		report        rtcp.SenderReport // the next one, without its time
	}
}

// StartRTSP starts a server on a free port of 127.0.0.1. It stops at the end of the test.
func StartRTSP(tb testing.TB, cfg RTSPConfig) *RTSPServer {
	tb.Helper()
	if cfg.Width == 0 {
		cfg.Width, cfg.Height = 320, 240
	}
	if cfg.FPS == 0 {
		cfg.FPS = 10
	}
	if cfg.Picture == nil {
		cfg.Picture = Bars
	}
	if cfg.KeyInterval == 0 {
		cfg.KeyInterval = 10
	}
	if cfg.Codec == "" {
		cfg.Codec = "VP8"
	}
	s := &RTSPServer{cfg: cfg, addr: anyPort, stop: make(chan struct{})}
	s.mu.width, s.mu.height = cfg.Width, cfg.Height
	s.mu.conns = map[*rtspConn]bool{}
	s.Revive(tb)
	stream := s.stream
	if cfg.Codec != "VP8" {
		stream = s.streamMPEG
	}
	s.wg.Go(func() {
		if err := stream(); err != nil {
			tb.Errorf("RTSP server: %v", err)
		}
	})
	tb.Cleanup(func() {
		close(s.stop)
		s.Die()
		s.wg.Wait()
	})
	return s
}

// URL is the address of the stream, with user and password when they are required.
func (s *RTSPServer) URL() string {
	if s.cfg.User != "" {
		return fmt.Sprintf("rtsp://%s:%s@%s/live", s.cfg.User, s.cfg.Password, s.addr)
	}
	return fmt.Sprintf("rtsp://%s/live", s.addr)
}

// Die closes the port and every connection, as a camera does that loses power.
func (s *RTSPServer) Die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.listener != nil {
		_ = s.mu.listener.Close()
		s.mu.listener = nil
	}
	for c := range s.mu.conns {
		_ = c.conn.Close()
	}
}

// Revive listens again on the same port after Die, without a fault.
func (s *RTSPServer) Revive(tb testing.TB) {
	tb.Helper()
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		tb.Fatalf("RTSP server: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr == anyPort { // keep the port from now on
		s.addr = listener.Addr().String()
	}
	s.mu.listener, s.mu.fault = listener, None
	s.wg.Go(func() { s.accept(listener) })
}

// SetFault makes the server fail, or with None behave again.
func (s *RTSPServer) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.fault, s.mu.forceKey = f, true
}

// HalfClose closes the server's side of every connection but goes on reading the clients' side.
func (s *RTSPServer) HalfClose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.conns {
		if tcp, ok := c.conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}
}

// Resize changes the size of the following pictures.
func (s *RTSPServer) Resize(width, height int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.width, s.mu.height = width, height
}

// Clients is the number of open connections.
func (s *RTSPServer) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.conns)
}

// Sent is the number of pictures that went to at least one client.
func (s *RTSPServer) Sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.sent
}

func (s *RTSPServer) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c := &rtspConn{conn: conn}
		s.mu.Lock()
		late := s.mu.listener != l // Die was called in between
		if !late {
			s.mu.conns[c] = true
		}
		s.mu.Unlock()
		if late {
			_ = conn.Close()
			continue
		}
		s.wg.Go(func() {
			c.serve(s)
			_ = conn.Close()
			c.closeUDP()
			s.mu.Lock()
			delete(s.mu.conns, c)
			s.mu.Unlock()
		})
	}
}

// stream encodes and sends one picture per tick.
func (s *RTSPServer) stream() error {
	const clockRate = 90000
	step := uint32(clockRate / s.cfg.FPS)
	packets := rtp.NewPacketizer(1200, 96, 4242, &codecs.VP8Payloader{EnablePictureID: true},
		rtp.NewRandomSequencer(), clockRate)
	random := rand.NewChaCha8([32]byte{1})
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.cfg.FPS))
	defer tick.Stop()
	var enc *encoder
	defer func() { enc.close() }()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return nil
		}
		s.mu.Lock()
		w, h, fault, key := s.mu.width, s.mu.height, s.mu.fault, s.mu.forceKey
		s.mu.forceKey = false
		s.mu.Unlock()
		s.report(fault)
		if enc == nil || enc.w != w || enc.h != h {
			enc.close()
			var err error
			if enc, err = newEncoder(w, h); err != nil {
				return err
			}
		}
		frame, err := enc.encode(s.cfg.Picture, i, time.Duration(float64(i)/s.cfg.FPS*float64(time.Second)), key)
		if err != nil {
			return err
		}
		const keyBit = 1 // of the first octet: 0 in a key frame (RFC 6386, 9.1)
		if fault == Stall || fault == NoKeys && frame[0]&keyBit == 0 {
			continue
		}
		if fault == Forward && i%10 == 0 {
			packets.SkipSamples(uint32(TimeJump.Seconds() * clockRate))
		} else if fault == Backward && i%10 == 0 {
			packets.SkipSamples(-uint32(TimeJump.Seconds() * clockRate))
		}
		s.send(packets.Packetize(frame, step), fault, random)
	}
}

// send sends one picture to the clients that play the stream.
func (s *RTSPServer) send(packets []*rtp.Packet, fault Fault, random *rand.ChaCha8) {
	s.mu.Lock()
	playing := s.playersLocked()
	if len(playing) > 0 {
		s.mu.sent++
	}
	for _, p := range packets {
		s.mu.report.SSRC, s.mu.report.RTPTime = p.SSRC, p.Timestamp
		s.mu.report.PacketCount++
		s.mu.report.OctetCount += uint32(len(p.Payload))
	}
	s.mu.Unlock()
	for _, p := range packets {
		if fault == Garbage {
			_, _ = random.Read(p.Payload)
		}
		raw, err := p.Marshal()
		if err != nil {
			continue
		}
		for _, c := range playing {
			if fault == Noise {
				_, _ = random.Read(raw)
				c.write(raw)
				continue
			}
			c.writeTo(rtpChannel, raw)
		}
	}
}

// playersLocked returns the clients that play the stream. The caller holds the lock.
func (s *RTSPServer) playersLocked() []*rtspConn {
	var playing []*rtspConn
	for c := range s.mu.conns {
		if c.playing.Load() {
			playing = append(playing, c)
		}
	}
	return playing
}

// encoder draws pictures, stamps the clock on them and encodes them as VP8.
type encoder struct {
	w, h int
	rgb  []byte
	i420 []byte
	enc  *vp8.Encoder
}

func newEncoder(w, h int) (*encoder, error) {
	cfg := vp8.DefaultConfig(w, h)
	cfg.Bitrate, cfg.KeyInterval = 2000, 20
	enc, err := vp8.NewEncoder(cfg)
	if err != nil {
		return nil, err
	}
	return &encoder{w: w, h: h, rgb: make([]byte, 3*w*h), enc: enc}, nil
}

func (e *encoder) encode(picture Picture, i int, pts time.Duration, key bool) ([]byte, error) {
	picture(e.rgb, e.w, e.h, i)
	StampClock(e.rgb, e.w, time.Now())
	e.i420 = vp8.RGBToI420(e.i420, e.rgb, e.w, e.h)
	frame, _, err := e.enc.Encode(e.i420, pts, key)
	return frame, err
}

func (e *encoder) close() {
	if e != nil {
		_ = e.enc.Close()
	}
}
