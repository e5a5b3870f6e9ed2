package vp8

/*
#cgo pkg-config: vpx
#include <stdlib.h>
#include <string.h>
#include <vpx/vpx_encoder.h>
#include <vpx/vp8cx.h>

typedef struct {
	vpx_codec_ctx_t ctx;
	vpx_codec_enc_cfg_t cfg;
	vpx_image_t img;
} encoder;

// encoder_new returns NULL and stores libvpx's reason in *why when the encoder cannot be made.
static encoder *encoder_new(int w, int h, int kbps, int threads, int speed, int key_frames, const char **why) {
	encoder *e = calloc(1, sizeof *e);
	if (!e) { *why = "out of memory"; return NULL; }
	vpx_codec_err_t err = vpx_codec_enc_config_default(vpx_codec_vp8_cx(), &e->cfg, 0);
	if (err) { *why = vpx_codec_err_to_string(err); free(e); return NULL; }
	e->cfg.g_w = w;
	e->cfg.g_h = h;
	e->cfg.g_timebase.num = 1;
	e->cfg.g_timebase.den = 90000; // the RTP clock: pts and rate control share it
	e->cfg.g_threads = threads;
	e->cfg.g_pass = VPX_RC_ONE_PASS;
	e->cfg.g_lag_in_frames = 0; // every picture gives its packet at once
	e->cfg.g_error_resilient = VPX_ERROR_RESILIENT_DEFAULT;
	e->cfg.rc_end_usage = VPX_CBR;
	e->cfg.rc_target_bitrate = kbps;
	e->cfg.rc_min_quantizer = 4;
	e->cfg.rc_max_quantizer = 56;
	e->cfg.rc_undershoot_pct = 50;
	e->cfg.rc_overshoot_pct = 50;
	e->cfg.rc_buf_initial_sz = 500;
	e->cfg.rc_buf_optimal_sz = 600;
	e->cfg.rc_buf_sz = 1000;
	e->cfg.rc_dropframe_thresh = 0;
	e->cfg.kf_mode = VPX_KF_AUTO;
	e->cfg.kf_max_dist = key_frames;
	err = vpx_codec_enc_init(&e->ctx, vpx_codec_vp8_cx(), &e->cfg, 0);
	if (err) { *why = vpx_codec_err_to_string(err); free(e); return NULL; }
	vpx_codec_control(&e->ctx, VP8E_SET_CPUUSED, speed);
	vpx_codec_control(&e->ctx, VP8E_SET_STATIC_THRESHOLD, 1);
	vpx_codec_control(&e->ctx, VP8E_SET_NOISE_SENSITIVITY, 0);
	vpx_codec_control(&e->ctx, VP8E_SET_MAX_INTRA_BITRATE_PCT, 450); // a huge key frame would stall the viewer
	vpx_codec_control(&e->ctx, VP8E_SET_TOKEN_PARTITIONS, 1);
	// Planes are set for each picture; wrapping needs any address but NULL.
	vpx_img_wrap(&e->img, VPX_IMG_FMT_I420, w, h, 1, (unsigned char *)e);
	return e;
}

static vpx_codec_err_t encoder_encode(encoder *e, unsigned char *i420, int64_t pts, unsigned long dur, int key,
                                      const void **out, size_t *size, int *is_key) {
	int w = e->cfg.g_w, h = e->cfg.g_h, cw = (w + 1) / 2, ch = (h + 1) / 2;
	e->img.planes[0] = i420;
	e->img.planes[1] = i420 + (size_t)w * h;
	e->img.planes[2] = i420 + (size_t)w * h + (size_t)cw * ch;
	e->img.stride[0] = w;
	e->img.stride[1] = e->img.stride[2] = cw;
	vpx_codec_err_t err =
		vpx_codec_encode(&e->ctx, &e->img, pts, dur, key ? VPX_EFLAG_FORCE_KF : 0, VPX_DL_REALTIME);
	e->img.planes[0] = e->img.planes[1] = e->img.planes[2] = NULL; // no Go pointer outlives the call
	*out = NULL;
	*size = 0;
	if (err) return err;
	vpx_codec_iter_t it = NULL;
	const vpx_codec_cx_pkt_t *p;
	while ((p = vpx_codec_get_cx_data(&e->ctx, &it))) {
		if (p->kind != VPX_CODEC_CX_FRAME_PKT) continue;
		*out = p->data.frame.buf;
		*size = p->data.frame.sz;
		*is_key = (p->data.frame.flags & VPX_FRAME_IS_KEY) != 0;
		break; // one packet per picture: partitions are not requested
	}
	return VPX_CODEC_OK;
}

static void encoder_free(encoder *e) {
	vpx_codec_destroy(&e->ctx);
	free(e);
}
*/
import "C"

import (
	"errors"
	"fmt"
	"time"
	"unsafe"
)

// ErrClosed is returned by Encode after Close.
var ErrClosed = errors.New("vp8: closed")

// Config of an Encoder. A zero optional field takes the value of DefaultConfig.
type Config struct {
	Width, Height int // pixels, 2..16383; odd sizes are legal
	Bitrate       int // target, kbit/s, 50..50000; default 1000
	Threads       int // 1..16; default 1 (two help above 720p)
	Speed         int // libvpx cpu-used, −16 (fastest) .. −1; default −8
	KeyInterval   int // largest distance between key frames, in pictures; default 150
}

// DefaultConfig returns settings measured for a preview of w×h pixels.
func DefaultConfig(w, h int) Config {
	return Config{Width: w, Height: h, Bitrate: 1000, Threads: 1, Speed: -8, KeyInterval: 150}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig(c.Width, c.Height)
	if c.Bitrate == 0 {
		c.Bitrate = d.Bitrate
	}
	if c.Threads == 0 {
		c.Threads = d.Threads
	}
	if c.Speed == 0 {
		c.Speed = d.Speed
	}
	if c.KeyInterval == 0 {
		c.KeyInterval = d.KeyInterval
	}
	return c
}

// Validate returns every field that is out of its range.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	check := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("vp8.%s: got %d, want %d..%d", name, v, lo, hi))
		}
	}
	check("width", c.Width, 2, 16383)
	check("height", c.Height, 2, 16383)
	check("bitrate", c.Bitrate, 50, 50000)
	check("threads", c.Threads, 1, 16)
	check("speed", c.Speed, -16, -1)
	check("key_interval", c.KeyInterval, 1, 100000)
	return errors.Join(errs...)
}

// Encoder turns I420 pictures of one size into VP8 frames. It is not safe for concurrent use.
type Encoder struct {
	e    *C.encoder
	cfg  Config
	out  []byte
	last int64 // previous pts in 1/90000 s; −1 before the first picture
}

// NewEncoder returns an encoder for pictures of cfg.Width×cfg.Height.
func NewEncoder(cfg Config) (*Encoder, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var why *C.char
	e := C.encoder_new(C.int(cfg.Width), C.int(cfg.Height), C.int(cfg.Bitrate), C.int(cfg.Threads),
		C.int(cfg.Speed), C.int(cfg.KeyInterval), &why)
	if e == nil {
		return nil, fmt.Errorf("vp8 encoder %dx%d: %s", cfg.Width, cfg.Height, C.GoString(why))
	}
	return &Encoder{e: e, cfg: cfg, last: -1}, nil
}

// Config returns the settings in force.
func (e *Encoder) Config() Config { return e.cfg }

// Encode compresses one picture of exactly I420Size(Width, Height) bytes, shown at pts, and reports whether the result
// is a key frame. The returned bytes are valid until the next call; they are empty when the rate control skips the
// picture. A pts that does not grow is moved to just after the previous one.
func (e *Encoder) Encode(i420 []byte, pts time.Duration, forceKey bool) (frame []byte, key bool, err error) {
	if e.e == nil {
		return nil, false, ErrClosed
	}
	if want := I420Size(e.cfg.Width, e.cfg.Height); len(i420) != want {
		return nil, false, fmt.Errorf("vp8 encode: picture has %d bytes, want %d for %dx%d",
			len(i420), want, e.cfg.Width, e.cfg.Height)
	}
	ticks := int64(pts) * 9 / 100000 // ns to 1/90000 s; overflows after 32 years
	ticks = max(ticks, e.last+1)
	duration := int64(90000 / 15)
	if e.last >= 0 {
		duration = min(max(ticks-e.last, 1), 90000)
	}
	e.last = ticks
	var force, isKey C.int
	if forceKey {
		force = 1
	}
	var out unsafe.Pointer
	var size C.size_t
	code := C.encoder_encode(e.e, (*C.uchar)(unsafe.Pointer(unsafe.SliceData(i420))), C.int64_t(ticks),
		C.ulong(duration), force, &out, &size, &isKey)
	if code != C.VPX_CODEC_OK {
		return nil, false, fmt.Errorf("vp8 encode: %s", C.GoString(C.vpx_codec_err_to_string(code)))
	}
	if size == 0 {
		return nil, false, nil
	}
	e.out = append(e.out[:0], unsafe.Slice((*byte)(out), int(size))...)
	return e.out, isKey != 0, nil
}

// Close frees the C memory. Closing twice is harmless.
func (e *Encoder) Close() error {
	if e.e != nil {
		C.encoder_free(e.e)
		e.e = nil
	}
	return nil
}
