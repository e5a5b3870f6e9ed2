package preview

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Why a viewer is not let in.
var (
	errBusy    = errors.New("as many viewers as preview.max_viewers allows: try again later")
	errOffer   = errors.New("the SDP offer is not one that asks to receive VP8 video")
	errUnknown = errors.New("no such session")
	errClosing = errors.New("the server is stopping")
)

// rooms are the WebRTC sessions of all cameras.
type rooms struct {
	cfg  Config
	log  *slog.Logger
	api  *webrtc.API
	cert []webrtc.Certificate
	mux  io.Closer
	wg   sync.WaitGroup // closers of sessions

	places *places

	mu struct {
		sync.Mutex
		sessions map[string]*session
		closed   bool
	}
}

// session is one viewer.
type session struct {
	id, etag string
	stream   *stream
	rtcp     sync.WaitGroup

	// guarded by rooms.mu
	pc        *webrtc.PeerConnection
	handshake *time.Timer
	connected bool
}

// newRooms opens the UDP socket that all sessions share.
func newRooms(cfg Config, log *slog.Logger, p *places) (*rooms, error) {
	r := &rooms{cfg: cfg, log: log, places: p}
	r.mu.sessions = map[string]*session{}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key) // one for all: making one takes longer than connecting
	if err != nil {
		return nil, err
	}
	r.cert = []webrtc.Certificate{*cert}
	media := &webrtc.MediaEngine{}
	if err := media.RegisterCodec(vp8Codec(), webrtc.RTPCodecTypeVideo); err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	settings, mux, err := settingsFor(cfg)
	if err != nil {
		return nil, err
	}
	r.mux = mux
	r.api = webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry),
		webrtc.WithSettingEngine(settings))
	return r, nil
}

// settingsFor puts all media on one UDP port and offers the addresses at which viewers reach it.
func settingsFor(cfg Config) (webrtc.SettingEngine, io.Closer, error) {
	s := webrtc.SettingEngine{}
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(5*time.Second, 15*time.Second, 2*time.Second)
	addr, err := net.ResolveUDPAddr("udp", cfg.udp())
	if err != nil {
		return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
	}
	if len(cfg.WebRTC.AdditionalHosts) > 0 {
		err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{
			External: cfg.WebRTC.AdditionalHosts, AsCandidateType: webrtc.ICECandidateTypeHost,
			Mode: webrtc.ICEAddressRewriteAppend,
		})
		if err != nil {
			return s, nil, fmt.Errorf("webrtc.additional_hosts: %w", err)
		}
	}
	if addr.IP == nil || addr.IP.IsUnspecified() {
		mux, err := ice.NewMultiUDPMuxFromPort(addr.Port, ice.UDPMuxFromPortWithLoopback())
		if err != nil {
			return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
		}
		s.SetICEUDPMux(mux)
		return s, mux, nil
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return s, nil, fmt.Errorf("media on udp %s: %w", cfg.udp(), err)
	}
	mux := webrtc.NewICEUDPMux(nil, conn)
	s.SetICEUDPMux(mux)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	return s, mux, nil
}

// join answers a viewer's offer. The session lives until leave, or until the viewer is gone.
func (r *rooms) join(ctx context.Context, s *stream, offer string) (_ *session, answer string, err error) {
	v, err := r.admit(s)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			r.leave(v.id)
		}
	}()
	if err := webRTCOffer(offer); err != nil {
		return nil, "", err
	}
	pc, err := r.api.NewPeerConnection(webrtc.Configuration{Certificates: r.cert})
	if err != nil {
		return nil, "", err
	}
	if err := r.attach(v, pc); err != nil {
		return nil, "", errors.Join(err, pc.Close())
	}
	t, err := pc.AddTransceiverFromTrack(
		s.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly},
	)
	if err != nil {
		return nil, "", err
	}
	v.rtcp.Go(func() { v.readRTCP(t.Sender()) })
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) { r.changed(v, state) })
	if answer, err = negotiate(ctx, pc, offer); err != nil {
		return nil, "", err
	}
	return v, answer, nil
}

// attach gives a session its connection, which leave closes from now on.
func (r *rooms) attach(v *session, pc *webrtc.PeerConnection) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.sessions[v.id] == nil {
		return errClosing
	}
	v.pc = pc
	v.handshake = time.AfterFunc(r.cfg.WebRTC.HandshakeTimeout, func() { r.late(v) })
	return nil
}

// webRTCOffer refuses at a glance what is no offer of a viewer.
func webRTCOffer(sdp string) error {
	if !strings.HasPrefix(sdp, "v=0") || !strings.Contains(sdp, "m=video") || !strings.Contains(sdp, "VP8/90000") {
		return errOffer
	}
	return nil
}

// admit books a place.
func (r *rooms) admit(s *stream) (*session, error) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	v := &session{id: hex.EncodeToString(b[:16]), etag: `"` + hex.EncodeToString(b[16:]) + `"`, stream: s}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.closed {
		return nil, errClosing
	}
	select {
	case <-s.gone:
		return nil, errClosing
	default:
	}
	if !r.places.book() {
		return nil, errBusy
	}
	r.mu.sessions[v.id] = v
	return v, nil
}

// negotiate answers an offer and waits until all our addresses are in the answer; they are local, so that takes
// milliseconds.
func negotiate(ctx context.Context, pc *webrtc.PeerConnection, offer string) (string, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", fmt.Errorf("gather addresses: %w", ctx.Err())
	}
	sdp := pc.LocalDescription().SDP
	if !strings.Contains(sdp, "VP8/90000") || !strings.Contains(sdp, "a=sendonly") {
		return "", errOffer
	}
	return sdp, nil
}

// readRTCP must run or lost packets are not sent again. It ends with the session.
func (v *session) readRTCP(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.stream.metrics.keys.WithLabelValues(v.stream.cam.Name()).Inc()
				v.stream.keyframe()
			}
		}
	}
}

// changed follows a session's connection.
func (r *rooms) changed(v *session, state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		r.mu.Lock()
		_, alive := r.mu.sessions[v.id]
		first := alive && !v.connected
		v.connected = v.connected || alive
		r.mu.Unlock()
		if first {
			n := v.stream.viewers.Add(1)
			v.stream.metrics.viewers.WithLabelValues(v.stream.cam.Name()).Set(float64(n))
			r.log.Info("viewer joined", "camera", v.stream.cam.Name(), "viewers", n)
			v.stream.keyframe()
		}
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		r.leave(v.id)
	default: // connecting, or a disconnection that may heal
	}
}

// late ends a session that did not connect in time.
func (r *rooms) late(v *session) {
	r.mu.Lock()
	connected := v.connected
	r.mu.Unlock()
	if !connected {
		r.log.Warn("viewer did not connect: check webrtc.listen_udp and webrtc.additional_hosts",
			"camera", v.stream.cam.Name(), "timeout", r.cfg.WebRTC.HandshakeTimeout)
		r.leave(v.id)
	}
}

// leave ends a session and reports whether it was there. The connection is closed in the background: it may be the one
// that calls.
func (r *rooms) leave(id string) bool {
	r.mu.Lock()
	v, ok := r.mu.sessions[id]
	delete(r.mu.sessions, id)
	if !ok {
		r.mu.Unlock()
		return false
	}
	r.places.free()
	pc, connected := v.pc, v.connected
	r.wg.Add(1)
	r.mu.Unlock()
	if connected {
		n := v.stream.viewers.Add(-1)
		v.stream.metrics.viewers.WithLabelValues(v.stream.cam.Name()).Set(float64(n))
		r.log.Info("viewer left", "camera", v.stream.cam.Name(), "viewers", n)
	}
	go func() {
		defer r.wg.Done()
		if pc != nil {
			v.handshake.Stop()
			_ = pc.GracefulClose()
			v.rtcp.Wait()
		}
	}()
	return true
}

// trickle adds the addresses that a viewer found later.
func (r *rooms) trickle(id, fragment string) error {
	r.mu.Lock()
	v := r.mu.sessions[id]
	var pc *webrtc.PeerConnection
	if v != nil {
		pc = v.pc
	}
	r.mu.Unlock()
	if pc == nil {
		return errUnknown
	}
	mid := "0"
	for line := range strings.Lines(fragment) {
		line = strings.TrimSpace(line)
		if m, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mid = m
		}
		if c, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			init := webrtc.ICECandidateInit{Candidate: "candidate:" + c, SDPMid: &mid}
			if err := pc.AddICECandidate(init); err != nil {
				return fmt.Errorf("candidate: %w", err)
			}
		}
	}
	return nil
}

// find returns a camera's session.
func (r *rooms) find(camera, id string) (*session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.mu.sessions[id]
	if v == nil || v.stream.cam.Name() != camera {
		return nil, errUnknown
	}
	return v, nil
}

// close ends all sessions, waits for them, and closes the socket.
func (r *rooms) close() {
	r.mu.Lock()
	r.mu.closed = true
	var ids []string
	for id := range r.mu.sessions {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	for _, id := range ids {
		r.leave(id)
	}
	r.wg.Wait()
	_ = r.mux.Close()
}
