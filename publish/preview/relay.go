package preview

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/pipeline/queue"
)

// What waits for one viewer at most: a second of pictures at 30 per second, and the memory of a few large key frames.
const (
	relayPictures = 30
	relayBytes    = 8 << 20
)

// unit is a picture for a relay.
type unit struct {
	h264 bool // VP8 otherwise
	key  bool
	seq  uint64        // grows by 1 from picture to picture of a codec
	time time.Duration // on the codec's clock
	read time.Time     // of H.264: when it was read from the camera
	data []byte
}

// relay is the track of one viewer who takes H.264: it sends what the camera sends, and VP8 while that does not suit. A viewer
// that is too slow loses pictures up to the next key frame.
type relay struct {
	s      *stream
	fmtp   string // as which the viewer takes H.264
	vp8    bool   // it takes VP8, too
	end    func() // ends the session
	units  *queue.Queue[unit]
	bound  chan struct{} // closed when out is set
	closed chan struct{}
	once   sync.Once

	sent, skipped prometheus.Counter
	age           prometheus.Observer

	out struct {
		webrtc.TrackLocalWriter
		ssrc      webrtc.SSRC
		h264, vp8 webrtc.PayloadType
	}

	// Guarded by relays.
	gone    bool      // it has left
	passing bool      // H.264
	since   time.Time // of passing
	asked   bool      // for a key frame since the last one that it was given
	unlucky int       // key frames in a row that did not help

	struggling time.Time // since the first of them
	givenUp    bool      // it gets VP8 for good
}

func newRelay(s *stream, o *offer, end func()) *relay {
	camera := s.cam.Name()
	return &relay{
		sent: s.metrics.pictures.WithLabelValues(camera, "sent"), skipped: s.metrics.pictures.WithLabelValues(camera, "skipped"),
		age: s.metrics.age.WithLabelValues(camera, "passthrough"),
		s:   s, fmtp: o.h264.fmtp, vp8: o.vp8 != nil, end: end, bound: make(chan struct{}), closed: make(chan struct{}),
		units: queue.New(relayPictures, queue.DropOldest, nil, queue.Bytes(relayBytes, func(u unit) int { return len(u.data) })),
	}
}

// put queues a picture and never waits. A viewer for whom too much waits loses all of it, so that it is not late for ever, and
// goes on with the next key frame.
func (v *relay) put(u unit) {
	if v.units.Len() == relayPictures || v.units.Bytes()+len(u.data) > relayBytes {
		for ok := true; ok; {
			var lost unit
			if lost, ok = v.units.TryGet(); ok && lost.h264 {
				v.skipped.Inc()
			}
		}
	}
	_ = v.units.Put(context.Background(), u) // the viewer may have left
}

// codec names what the viewer gets at first. A nil relay is that of a viewer of VP8.
func (v *relay) codec() string {
	if v == nil {
		return "VP8"
	}
	return "H264"
}

// close makes run return. A nil relay may be closed.
func (v *relay) close() {
	if v != nil {
		v.once.Do(func() { close(v.closed) })
		v.units.Drain()
	}
}

// Bind implements webrtc.TrackLocal.
func (v *relay) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	var first webrtc.RTPCodecParameters
	for _, p := range c.CodecParameters() {
		switch {
		case strings.EqualFold(p.MimeType, webrtc.MimeTypeH264):
			first, v.out.h264 = p, p.PayloadType
		case strings.EqualFold(p.MimeType, webrtc.MimeTypeVP8):
			v.out.vp8 = p.PayloadType
		}
	}
	if first.MimeType == "" {
		return first, webrtc.ErrUnsupportedCodec
	}
	v.out.TrackLocalWriter, v.out.ssrc = c.WriteStream(), c.SSRC()
	close(v.bound)
	return first, nil
}

// Unbind implements webrtc.TrackLocal.
func (v *relay) Unbind(webrtc.TrackLocalContext) error { return nil }

// ID implements webrtc.TrackLocal.
func (v *relay) ID() string { return "video" }

// RID implements webrtc.TrackLocal.
func (v *relay) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (v *relay) StreamID() string { return v.s.cam.Name() }

// Kind implements webrtc.TrackLocal.
func (v *relay) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// run sends until close is called.
func (v *relay) run() {
	select {
	case <-v.bound:
	case <-v.closed:
		return
	}
	out := sender{
		write: v.write, seq: uint16(rand.Uint32()), clock: clock{stamp: rand.Uint32()},
		h264: codecs.H264Payloader{DisableStapA: true}, // in which it would keep one parameter set of each kind
		vp8:  codecs.VP8Payloader{EnablePictureID: true},
	}
	var follow order
	for u := range v.units.All(context.Background()) { // until it is closed
		fits, gap := follow.next(u)
		if gap && !u.h264 {
			v.s.keyframe()
		}
		if !fits {
			if u.h264 {
				v.skipped.Inc()
			}
			continue
		}
		if err := out.send(u, time.Now()); err != nil {
			v.s.log.Debug("viewer", "err", err)
		}
		if u.h264 {
			v.sent.Inc()
			v.age.Observe(time.Since(u.read).Seconds())
		}
	}
}

// write sends a packet. pion binds a track shortly before it can write, and says so by writing nothing.
func (v *relay) write(h *rtp.Header, payload []byte, h264 bool) error {
	h.SSRC, h.PayloadType = uint32(v.out.ssrc), uint8(v.out.vp8)
	if h264 {
		h.PayloadType = uint8(v.out.h264)
	}
	for {
		n, err := v.out.WriteRTP(h, payload)
		if n > 0 || errors.Is(err, io.ErrClosedPipe) { // the viewer has left
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-v.closed:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// order finds out which pictures can be decoded: a key frame, and what follows it without a gap.
type order struct {
	h264, begun bool
	last        uint64
}

// next reports whether a picture can be decoded, and whether pictures before it are missing.
func (o *order) next(u unit) (fits, gap bool) {
	gap = o.begun && o.h264 == u.h264 && u.seq != o.last+1
	if o.h264 != u.h264 || gap {
		o.begun = false
	}
	o.h264, o.last = u.h264, u.seq
	o.begun = o.begun || u.key
	return o.begun, gap
}

// clock makes one time of those of the codecs and of the camera's connections, in units of RTP.
type clock struct {
	stamp uint32
	h264  bool
	time  time.Duration // of the last picture
	sent  time.Time
}

// next returns the timestamp of a picture. The codec's own clock counts, except where it jumps or another codec begins.
func (c *clock) next(u unit, now time.Time) uint32 {
	if !c.sent.IsZero() {
		const jump = 5 * time.Second
		step := u.time - c.time
		if c.h264 != u.h264 || step <= 0 || step > jump {
			step = max(now.Sub(c.sent), time.Millisecond)
		}
		c.stamp += uint32(int64(step) * 9 / 100000)
	}
	c.h264, c.time, c.sent = u.h264, u.time, now
	return c.stamp
}

// sender makes RTP of pictures.
type sender struct {
	write func(h *rtp.Header, payload []byte, h264 bool) error
	h264  codecs.H264Payloader
	vp8   codecs.VP8Payloader
	seq   uint16
	clock clock
}

func (s *sender) send(u unit, now time.Time) error {
	var parts [][]byte
	if u.h264 {
		parts = s.h264.Payload(mtu, u.data)
	} else {
		parts = s.vp8.Payload(mtu, u.data)
	}
	stamp := s.clock.next(u, now)
	for i, part := range parts {
		h := &rtp.Header{Version: 2, Marker: i == len(parts)-1, SequenceNumber: s.seq, Timestamp: stamp}
		s.seq++
		if err := s.write(h, part, u.h264); err != nil {
			return err
		}
	}
	return nil
}

var _ webrtc.TrackLocal = (*relay)(nil)
