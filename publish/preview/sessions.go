package preview

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// Why a viewer is refused.
var (
	errBusy    = errors.New("preview.max_viewers are watching: try again later")
	errOffer   = errors.New("the SDP offer does not ask to receive VP8 video, or H.264 that the camera sends")
	errUnknown = errors.New("no such session")
	errClosing = errors.New("the server is stopping")
)

// sessions are the WebRTC sessions of all cameras. They share one UDP socket.
type sessions struct {
	log       *slog.Logger
	handshake time.Duration // for a viewer to connect
	api       *webrtc.API   // for viewers of VP8
	settings  webrtc.SettingEngine
	media     io.Closer // the UDP socket
	peer      webrtc.Configuration
	slots     *slots
	closing   sync.WaitGroup // connections that are being closed

	mu struct {
		sync.Mutex
		byID   map[string]*session
		closed bool
	}
}

// session is one viewer.
type session struct {
	id          string
	stream      *stream
	relay       *relay         // of a viewer who gets H.264; nil otherwise
	work        sync.WaitGroup // the session's goroutines
	joined      time.Time
	negotiation negotiation

	// Guarded by sessions.mu.
	pc        *webrtc.PeerConnection
	deadline  *time.Timer // of the handshake
	connected bool
	silent    bool // connected, but nothing arrives from the viewer
}

// newSessions opens the UDP socket.
func newSessions(cfg Config, log *slog.Logger, slots *slots) (*sessions, error) {
	s := &sessions{log: log, handshake: cfg.WebRTC.HandshakeTimeout, slots: slots}
	s.mu.byID = map[string]*session{}
	var err error
	if s.peer, err = peerConfig(); err != nil {
		return nil, err
	}
	if s.settings, s.media, err = openMedia(cfg); err != nil {
		return nil, err
	}
	if s.api, err = newAPI(s.settings, vp8Codec()); err != nil {
		return nil, errors.Join(err, s.media.Close())
	}
	return s, nil
}

// join answers a viewer's offer. The session lives until leave is called or the viewer is gone.
func (s *sessions) join(ctx context.Context, st *stream, o *offer) (_ *session, answer string, err error) {
	v, err := s.admit(st)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			s.leave(v.id)
		}
	}()
	api, track, err := s.prepare(v, o)
	if err != nil {
		return nil, "", err
	}
	pc, err := api.NewPeerConnection(s.peer)
	if err != nil {
		return nil, "", err
	}
	if err := s.attach(v, pc); err != nil {
		return nil, "", errors.Join(err, pc.Close())
	}
	t, err := pc.AddTransceiverFromTrack(
		track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly},
	)
	if err != nil {
		return nil, "", err
	}
	v.work.Go(func() { v.readRTCP(t.Sender()) })
	if v.relay != nil {
		v.work.Go(v.relay.run)
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) { s.connectionChanged(v, state) })
	v.negotiation.Lock()
	defer v.negotiation.Unlock()
	if answer, err = negotiate(ctx, pc, o); err != nil {
		return nil, "", err
	}
	v.negotiation.offer = o
	return v, answer, nil
}

// prepare returns the WebRTC and the track for a viewer: those that all viewers of VP8 share, or its own if it gets H.264.
func (s *sessions) prepare(v *session, o *offer) (*webrtc.API, webrtc.TrackLocal, error) {
	if o.h264 == nil {
		return s.api, v.stream.track, nil
	}
	codecs, err := o.codecs()
	if err != nil {
		return nil, nil, err
	}
	api, err := newAPI(s.settings, codecs...)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errOffer, err) // two formats with the same number
	}
	v.relay = newRelay(v.stream, o, func() { s.leave(v.id) })
	return api, v.relay, nil
}

// admit takes a slot for a new session.
func (s *sessions) admit(st *stream) (*session, error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	v := &session{id: hex.EncodeToString(b[:]), stream: st, joined: time.Now()}
	v.negotiation.etag = newETag()
	if !s.slots.take() && (!s.makeRoom() || !s.slots.take()) {
		return nil, errBusy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stopping := s.mu.closed
	select {
	case <-st.gone:
		stopping = true
	default:
	}
	if stopping {
		s.slots.free()
		return nil, errClosing
	}
	s.mu.byID[v.id] = v
	return v, nil
}

// patience is how long a viewer may take to connect while others wait for its slot.
const patience = 2 * time.Second

// makeRoom ends the session that most likely has no viewer any more, and reports whether there was one: the oldest one
// that has gone silent, or else the oldest one that has not connected.
func (s *sessions) makeRoom() bool {
	s.mu.Lock()
	var worst *session
	for _, v := range s.mu.byID {
		if !v.silent && (v.connected || time.Since(v.joined) < patience) {
			continue
		}
		if worst == nil || v.silent != worst.silent && v.silent || v.silent == worst.silent && v.joined.Before(worst.joined) {
			worst = v
		}
	}
	s.mu.Unlock()
	return worst != nil && s.leave(worst.id)
}

// attach gives a session its connection. From now on leave closes it.
func (s *sessions) attach(v *session, pc *webrtc.PeerConnection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.byID[v.id] == nil {
		return errClosing
	}
	v.pc = pc
	v.deadline = time.AfterFunc(s.handshake, func() { s.handshakeOver(v) })
	return nil
}

// readRTCP answers requests for key frames until the session ends. Without it lost packets are not sent again either.
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
				v.stream.wantsKey(v.relay)
			}
		}
	}
}

// connectionChanged follows the state of a session's connection.
func (s *sessions) connectionChanged(v *session, state webrtc.PeerConnectionState) {
	switch state {
	case webrtc.PeerConnectionStateConnected:
		s.mu.Lock()
		_, alive := s.mu.byID[v.id]
		first := alive && !v.connected
		v.connected, v.silent = v.connected || alive, false
		s.mu.Unlock()
		if first {
			n := v.stream.viewers.Add(1)
			v.stream.metrics.viewers.WithLabelValues(v.stream.cam.Name()).Set(float64(n))
			s.log.Info("viewer joined", "camera", v.stream.cam.Name(), "viewers", n, "codec", v.relay.codec())
			v.stream.joined(v.relay)
		}
	case webrtc.PeerConnectionStateDisconnected: // this may heal
		s.mu.Lock()
		v.silent = true
		s.mu.Unlock()
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		s.leave(v.id)
	default: // connecting
	}
}

// handshakeOver ends a session that has not connected in time.
func (s *sessions) handshakeOver(v *session) {
	s.mu.Lock()
	connected := v.connected
	s.mu.Unlock()
	if !connected {
		s.log.Warn("viewer did not connect: check webrtc.listen_udp and webrtc.additional_hosts",
			"camera", v.stream.cam.Name(), "timeout", s.handshake)
		s.leave(v.id)
	}
}

// leave ends a session and reports whether it existed. It closes the connection in the background, since the connection
// itself may be the caller.
func (s *sessions) leave(id string) bool {
	s.mu.Lock()
	v, ok := s.mu.byID[id]
	delete(s.mu.byID, id)
	if !ok {
		s.mu.Unlock()
		return false
	}
	s.slots.free()
	pc, connected := v.pc, v.connected
	s.closing.Add(1)
	s.mu.Unlock()
	if connected {
		n := v.stream.viewers.Add(-1)
		v.stream.metrics.viewers.WithLabelValues(v.stream.cam.Name()).Set(float64(n))
		s.log.Info("viewer left", "camera", v.stream.cam.Name(), "viewers", n)
		v.stream.left(v.relay)
	}
	go func() {
		defer s.closing.Done()
		if pc != nil {
			v.deadline.Stop()
			_ = pc.GracefulClose()
			v.relay.close()
			v.work.Wait()
		}
	}()
	return true
}

// find returns a session of a camera.
func (s *sessions) find(camera, id string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.mu.byID[id]
	if v == nil || v.stream.cam.Name() != camera {
		return nil, errUnknown
	}
	return v, nil
}

// leaveStream ends the sessions of one camera.
func (s *sessions) leaveStream(st *stream) {
	s.leaveAll(func(v *session) bool { return v.stream == st })
}

// close ends all sessions, waits for them, and closes the socket.
func (s *sessions) close() {
	s.mu.Lock()
	s.mu.closed = true
	s.mu.Unlock()
	s.leaveAll(func(*session) bool { return true })
	s.closing.Wait()
	_ = s.media.Close()
}

func (s *sessions) leaveAll(which func(*session) bool) {
	s.mu.Lock()
	var ids []string
	for id, v := range s.mu.byID {
		if which(v) {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.leave(id)
	}
}
