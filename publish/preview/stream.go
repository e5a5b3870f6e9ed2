package preview

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/overlay"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/vp8"
)

const (
	keyPause   = 500 * time.Millisecond // at most one key frame asked for by viewers in this time
	idleRepeat = time.Second            // a picture that stands still is sent again, so that viewers who join see it
	staleAfter = 3 * time.Second        // a camera without frames for so long shows its state
)

// ErrNoFrame is returned for a picture of a camera that has not delivered one yet.
var ErrNoFrame = errors.New("preview: the camera has not delivered a frame yet")

// stream is the preview of one camera.
type stream struct {
	cam     publish.Camera
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	track   *webrtc.TrackLocalStaticRTP
	packets *packetizer
	mjpeg   hub[[]byte]
	live    hub[[]byte] // server-sent events

	viewers atomic.Int32 // connected over WebRTC
	needKey atomic.Bool
	wake    chan struct{}
	gone    chan struct{} // closed when the camera was removed
	stop    func()        // ends run; nil before it was launched
	ended   chan struct{} // closed when run has returned

	mu struct {
		sync.Mutex
		frame  *ingest.Frame // newest; one reference is ours
		fresh  bool          // frame has not been rendered
		m      *detector.Map // newest
		closed bool
	}
}

func newStream(cam publish.Camera, cfg Config, log *slog.Logger, m *metrics) (*stream, error) {
	track, err := webrtc.NewTrackLocalStaticRTP(vp8Codec().RTPCodecCapability, "video", cam.Name())
	if err != nil {
		return nil, err
	}
	return &stream{
		cam: cam, cfg: cfg, log: log.With("camera", cam.Name()), metrics: m, track: track,
		packets: newPacketizer(track), wake: make(chan struct{}, 1),
		gone: make(chan struct{}), ended: make(chan struct{}),
	}, nil
}

// push takes over one reference to f.
func (s *stream) push(f *ingest.Frame) {
	s.mu.Lock()
	old, skipped := s.mu.frame, s.mu.fresh
	if s.mu.closed {
		old, skipped = f, false
	} else {
		s.mu.frame, s.mu.fresh = f, true
	}
	s.mu.Unlock()
	if old != nil {
		old.Release()
	}
	if skipped && s.watched() {
		s.metrics.frames.WithLabelValues(s.cam.Name(), "skipped").Inc()
	}
	s.poke()
}

func (s *stream) setMap(m *detector.Map) {
	s.mu.Lock()
	s.mu.m = m
	s.mu.Unlock()
}

func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// keyframe makes the next picture a key frame, and makes it soon.
func (s *stream) keyframe() {
	s.needKey.Store(true)
	s.poke()
}

func (s *stream) watched() bool { return s.viewers.Load() > 0 || s.mjpeg.len() > 0 }

// newest returns the newest frame, with a reference of its own, and map; nil where there is none yet.
func (s *stream) newest() (f *ingest.Frame, m *detector.Map, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.frame != nil {
		f = s.mu.frame.Retain()
	}
	fresh, s.mu.fresh = s.mu.fresh, false
	return f, s.mu.m, fresh
}

// close gives the frame back and takes no more.
func (s *stream) close() {
	s.mu.Lock()
	f := s.mu.frame
	s.mu.frame, s.mu.closed = nil, true
	s.mu.Unlock()
	if f != nil {
		f.Release()
	}
}

// run renders and encodes while somebody watches, until ctx is done.
func (s *stream) run(ctx context.Context) error {
	e := &encoding{s: s, render: overlay.NewRenderer(s.cfg.MaxWidth)}
	defer e.close()
	repeat := time.NewTicker(idleRepeat / 2)
	defer repeat.Stop()
	for {
		select {
		case <-s.wake:
		case <-repeat.C:
		case <-ctx.Done():
			return nil
		}
		if !s.watched() {
			e.close() // nobody watches: the encoder's memory is free again
			continue
		}
		if err := e.step(time.Now()); err != nil {
			s.metrics.frames.WithLabelValues(s.cam.Name(), "error").Inc()
			s.log.Warn("preview", "err", err)
		}
	}
}

// encoding is what one camera's run keeps from picture to picture.
type encoding struct {
	s       *stream
	render  *overlay.Renderer
	enc     *vp8.Encoder
	i420    []byte
	begin   time.Time // zero of the stream's clock
	due     time.Time // no picture before
	sent    time.Time // when the last picture was sent
	lastKey time.Time
	rgba    *image.RGBA
	jpeg    bytes.Buffer
	second  struct { // of the stream, for its bit rate
		begin time.Time // zero: nobody watches
		bits  int
	}
}

func (e *encoding) close() {
	if e.enc != nil {
		_ = e.enc.Close() // never fails
		e.enc = nil
	}
}

// step sends one picture if it is time for one.
func (e *encoding) step(now time.Time) error {
	key := e.s.needKey.Load() && now.Sub(e.lastKey) >= keyPause
	interval := time.Second / time.Duration(e.s.cfg.MaxFPS)
	if !key && now.Before(e.due.Add(-interval/10)) { // a tenth early is in time: cameras are not exact
		return nil
	}
	frame, m, fresh := e.s.newest()
	if frame != nil {
		defer frame.Release()
	}
	if !fresh && !key && now.Sub(e.sent) < idleRepeat {
		return nil
	}
	e.due = later(e.due.Add(interval), now)
	e.sent = now
	v := overlay.View{Camera: e.s.cam.Name(), Frame: frame, Map: m}
	if frame == nil || now.Sub(frame.Captured) > staleAfter {
		v.Banner = bannerFor(e.s.cam.Status(), frame != nil)
	}
	rgb, w, h := e.render.Render(v)
	if e.s.mjpeg.len() > 0 {
		if err := e.sendJPEG(rgb, w, h); err != nil {
			return err
		}
	}
	if e.s.viewers.Load() > 0 {
		if err := e.sendVP8(rgb, w, h, now, key); err != nil {
			return err
		}
	} else if !e.second.begin.IsZero() {
		e.second.begin, e.second.bits = time.Time{}, 0
		e.s.metrics.bitrate.WithLabelValues(e.s.cam.Name()).Set(0)
	}
	e.s.metrics.frames.WithLabelValues(e.s.cam.Name(), "sent").Inc()
	if fresh {
		e.s.metrics.age.WithLabelValues(e.s.cam.Name(), "preview").Observe(time.Since(frame.Captured).Seconds())
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (e *encoding) sendVP8(rgb []byte, w, h int, now time.Time, key bool) error {
	if e.enc == nil || e.enc.Config().Width != w || e.enc.Config().Height != h {
		e.close()
		cfg := vp8.DefaultConfig(w, h)
		cfg.Bitrate, cfg.KeyInterval = e.s.cfg.Bitrate, 10*e.s.cfg.MaxFPS
		var err error
		if e.enc, err = vp8.NewEncoder(cfg); err != nil {
			return err
		}
		if e.begin.IsZero() {
			e.begin = now
		}
	}
	e.i420 = vp8.RGBToI420(e.i420, rgb, w, h)
	pts := now.Sub(e.begin)
	frame, isKey, err := e.enc.Encode(e.i420, pts, key)
	if err != nil {
		return err
	}
	if isKey {
		e.lastKey = now
		e.s.needKey.Store(false)
	}
	e.s.metrics.bytes.WithLabelValues(e.s.cam.Name()).Add(float64(len(frame)))
	e.meter(now, len(frame))
	e.s.metrics.encode.WithLabelValues(e.s.cam.Name()).Observe(time.Since(now).Seconds())
	return e.s.packets.send(frame, pts)
}

// meter tells the bit rate once a second.
func (e *encoding) meter(now time.Time, size int) {
	e.second.bits += 8 * size
	if d := now.Sub(e.second.begin).Seconds(); d >= 1 {
		e.s.metrics.bitrate.WithLabelValues(e.s.cam.Name()).Set(float64(e.second.bits) / d)
		e.second.begin, e.second.bits = now, 0
	}
}

func (e *encoding) sendJPEG(rgb []byte, w, h int) error {
	e.jpeg.Reset()
	e.rgba = overlay.ToRGBA(e.rgba, rgb, w, h)
	if err := jpeg.Encode(&e.jpeg, e.rgba, &jpeg.Options{Quality: 75}); err != nil {
		return err
	}
	e.s.mjpeg.send(bytes.Clone(e.jpeg.Bytes()))
	return nil
}

// snapshot returns the newest frame as JPEG, with the newest map unless plain.
func (s *stream) snapshot(plain bool) ([]byte, time.Time, error) {
	s.mu.Lock()
	f, m := s.mu.frame, s.mu.m
	if f != nil {
		f.Retain()
	}
	s.mu.Unlock()
	if f == nil {
		return nil, time.Time{}, ErrNoFrame
	}
	defer f.Release()
	var out bytes.Buffer
	if plain {
		err := jpeg.Encode(&out, ingest.FrameImage(f), &jpeg.Options{Quality: 90})
		return out.Bytes(), f.Captured, err
	}
	err := jpeg.Encode(&out, overlay.Picture(f, m), &jpeg.Options{Quality: 90})
	return out.Bytes(), f.Captured, err
}

// bannerFor says in large letters why nothing moves, or nothing when all is well.
func bannerFor(st schema.Status, haveFrame bool) string {
	switch {
	case st.State == schema.StateEnded:
		return "ENDED"
	case st.State == schema.StateDown, st.State == schema.StateStalled:
		return "NO SIGNAL"
	case !haveFrame:
		return "WAITING"
	default:
		return ""
	}
}
