package ffmpeg

/*
#cgo pkg-config: libavformat libavcodec libswscale libavutil
#cgo CFLAGS: -std=c11 -O2
#cgo LDFLAGS: -lm
#include <stdlib.h>
#include "reader.h"

static int64_t nopts(void) { return AV_NOPTS_VALUE; }
static double seconds(AVRational base, int64_t t) { return t * av_q2d(base); }
static double rate(oodcast_av *r) { return av_q2d(av_guess_frame_rate(r->format, r->stream, NULL)); }
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"
)

// Options say how a Reader opens and decodes.
type Options struct {
	// Live decodes the slices of a picture in parallel instead of successive pictures: no picture waits for the next one.
	Live bool
	// Pairs are options of FFmpeg's demuxers and protocols, as key;value|key;value. Those they do not know are ignored.
	Pairs string
	// MaxPixels bounds width x height: a larger picture is not decoded.
	MaxPixels int
}

// Reader decodes the pictures of one stream, one after the other. It belongs to one goroutine and must be closed.
type Reader struct {
	ctx  func() error  // why the reader was interrupted
	stop func() bool   // ends the watch over the context; false: it is interrupting
	gone chan struct{} // closed when it has
	c    *C.oodcast_av
}

// Open opens url, which is what FFmpeg calls a URL: file:PATH, rtsp://… When ctx is done, a call that waits returns its
// error soon, and all later ones do at once. Errors do not contain the URL.
func Open(ctx context.Context, url string, opt Options) (*Reader, error) {
	Silence()
	r := &Reader{ctx: ctx.Err, gone: make(chan struct{}), c: C.oodcast_av_alloc()}
	if r.c == nil {
		return nil, errors.New("out of memory")
	}
	r.stop = context.AfterFunc(ctx, func() {
		C.oodcast_av_interrupt(r.c)
		close(r.gone)
	})
	u, pairs := C.CString(url), C.CString(opt.Pairs)
	defer C.free(unsafe.Pointer(u))
	defer C.free(unsafe.Pointer(pairs))
	slices := C.int(0)
	if opt.Live {
		slices = 1
	}
	if err := r.failure(C.oodcast_av_open(r.c, u, pairs, slices, C.int64_t(opt.MaxPixels))); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Next decodes the next picture and returns its size in pixels. Packets that cannot be decoded are passed over. io.EOF at
// the end of the stream.
func (r *Reader) Next() (width, height int, err error) {
	if r.c == nil {
		return 0, 0, errClosed
	}
	if err := r.ctx(); err != nil { // the interruption may be on its way still
		return 0, 0, err
	}
	if err := r.failure(C.oodcast_av_next(r.c)); err != nil {
		return 0, 0, err
	}
	return int(r.c.frame.width), int(r.c.frame.height), nil
}

// BGR writes the picture that Next decoded to dst: 3 x width x height bytes, rows from the top, without padding.
func (r *Reader) BGR(dst []byte) error {
	if r.c == nil {
		return errClosed
	}
	if want := 3 * int(r.c.frame.width) * int(r.c.frame.height); want == 0 || len(dst) != want {
		return fmt.Errorf("%d bytes for a picture of %d", len(dst), want)
	}
	return r.failure(C.oodcast_av_bgr(r.c, (*C.uint8_t)(unsafe.Pointer(&dst[0]))))
}

// Time is the time of the picture that Next decoded, from the start of the stream; ok is false when it has none.
func (r *Reader) Time() (t time.Duration, ok bool) {
	if r.c == nil || r.c.frame.best_effort_timestamp == C.nopts() {
		return 0, false
	}
	pts := r.c.frame.best_effort_timestamp
	if start := r.c.stream.start_time; start != C.nopts() {
		pts -= start
	}
	return time.Duration(float64(C.seconds(r.c.stream.time_base, pts)) * float64(time.Second)), true
}

// Rate is the nominal rate in pictures a second, 0 when unknown.
func (r *Reader) Rate() float64 {
	if r.c == nil {
		return 0
	}
	if rate := float64(C.rate(r.c)); rate > 0 { // not NaN
		return rate
	}
	return 0
}

// QuarterTurns is how many quarter turns to the right make the pictures upright, 0 to 3.
func (r *Reader) QuarterTurns() int {
	if r.c == nil {
		return 0
	}
	return int(C.oodcast_av_turns(r.c))
}

// Close releases what Open made. Twice is harmless.
func (r *Reader) Close() error {
	if r.c == nil {
		return nil
	}
	if !r.stop() {
		<-r.gone // it writes to what is freed here
	}
	C.oodcast_av_free(r.c)
	r.c = nil
	return nil
}

var errClosed = errors.New("closed")

// failure is the error behind what FFmpeg returned.
func (r *Reader) failure(code C.int) error {
	if code == 0 {
		return nil
	}
	if err := r.ctx(); err != nil { // protocols report an interruption as all sorts of failure
		return err
	}
	if code == C.AVERROR_EOF {
		return io.EOF
	}
	var text [C.AV_ERROR_MAX_STRING_SIZE]C.char
	C.av_strerror(code, &text[0], C.AV_ERROR_MAX_STRING_SIZE)
	return errors.New(C.GoString(&text[0]))
}

// Silence turns FFmpeg's log to stderr off, for everybody in the process: it has addresses in it, with their credentials.
func Silence() { C.oodcast_av_silence() }

// Version is the release of the FFmpeg libraries in use.
func Version() string { return C.GoString(C.av_version_info()) }
