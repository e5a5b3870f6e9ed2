package preview

import (
	"bytes"
	"image"
	"image/jpeg"
	"time"

	"github.com/oodcast/oodcast/publish/overlay"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/vp8"
)

// encoding is the state of one camera's run from picture to picture.
type encoding struct {
	s       *stream
	render  *overlay.Renderer
	enc     *vp8.Encoder
	i420    []byte
	begin   time.Time // origin of the stream's clock
	due     time.Time // of the next picture
	sent    time.Time // time of the last picture
	lastKey time.Time
	frames  uint64 // encoded
	rgba    *image.RGBA
	jpeg    bytes.Buffer
	second  struct { // measures the bit rate
		begin time.Time // zero: no WebRTC viewers
		bits  int
	}
}

func (e *encoding) close() {
	if e.enc != nil {
		_ = e.enc.Close() // never fails
		e.enc = nil
	}
}

// step sends one picture if one is due.
func (e *encoding) step(now time.Time) error {
	key := e.s.needKey.Load() && now.Sub(e.lastKey) >= keyPause
	interval := time.Second / time.Duration(e.s.cfg.MaxFPS)
	if !key && now.Before(e.due.Add(-interval/10)) { // a tenth early is on time: cameras are not exact
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
	if e.s.encoded.Load() > 0 {
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
	e.frames++
	e.s.relays.encoded(unit{key: isKey, seq: e.frames, time: pts, data: frame})
	return e.s.packets.send(frame, pts)
}

// meter updates the bit rate once per second.
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

// bannerFor returns the reason why the picture stands still, or nothing when all is well.
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
