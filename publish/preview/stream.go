package preview

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/overlay"
	"github.com/oodcast/oodcast/publish/schema"
)

const (
	keyPause   = 500 * time.Millisecond // between two key frames that viewers ask for
	idleRepeat = time.Second            // between two copies of a picture that does not change, for viewers who join
	staleAfter = 3 * time.Second        // without a frame, until the picture shows the camera's state
)

// ErrNoFrame is returned when a picture is asked of a camera that has not delivered a frame yet.
var ErrNoFrame = errors.New("preview: the camera has not delivered a frame yet")

// stream is the preview of one camera.
type stream struct {
	cam     schema.Camera
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	track   *webrtc.TrackLocalStaticRTP
	packets *packetizer
	mjpeg   hub[[]byte]
	live    hub[[]byte] // server-sent events

	viewers atomic.Int32 // connected over WebRTC
	encoded atomic.Int32 // those of them for whom pictures are encoded
	relays  relays       // those who may get what the camera sends
	needKey atomic.Bool
	wake    chan struct{}
	gone    chan struct{} // closed when the camera is removed
	stop    func()        // ends run; nil before launch
	ended   chan struct{} // closed when run returns

	mu struct {
		sync.Mutex
		frame  *ingest.Frame // the newest; we hold one reference
		fresh  bool          // frame is not rendered yet
		m      *detector.Map // the newest
		closed bool
	}
}

func newStream(cam schema.Camera, cfg Config, log *slog.Logger, m *metrics) (*stream, error) {
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

// keyframe asks for a key frame soon.
func (s *stream) keyframe() {
	s.needKey.Store(true)
	s.poke()
}

func (s *stream) watched() bool { return s.encoded.Load() > 0 || s.mjpeg.len() > 0 }

// newest returns the newest frame and map, nil before the first, and whether the frame is fresh. The caller owns a
// reference to the frame.
func (s *stream) newest() (f *ingest.Frame, m *detector.Map, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.frame != nil {
		f = s.mu.frame.Retain()
	}
	fresh, s.mu.fresh = s.mu.fresh, false
	return f, s.mu.m, fresh
}

// close releases the newest frame, and every one pushed later.
func (s *stream) close() {
	s.mu.Lock()
	f := s.mu.frame
	s.mu.frame, s.mu.closed = nil, true
	s.mu.Unlock()
	if f != nil {
		f.Release()
	}
}

// run renders and encodes while there are viewers, until ctx is done.
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
		s.relays.check(time.Now())
		if !s.watched() {
			e.close() // frees the memory of the encoder
			continue
		}
		if err := e.step(time.Now()); err != nil {
			s.metrics.frames.WithLabelValues(s.cam.Name(), "error").Inc()
			s.log.Warn("preview", "err", err)
		}
	}
}

// snapshot returns the newest frame as JPEG, with the newest map over it unless plain, and the time of its capture.
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
