package ffmpeg

/*
#cgo pkg-config: libavformat libavcodec libswscale libavutil
#cgo CFLAGS: -std=c11 -O2
#cgo LDFLAGS: -lm
#include <stdlib.h>
#include "reader.h"

static int keyless(oodcast_av *r) { return atomic_load(&r->keyless); }
static int again(void) { return AVERROR(EAGAIN); }
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
	"sync"
	"time"
	"unsafe"
)

// Options say how a Reader opens and decodes.
type Options struct {
	// Live decodes the slices of one picture in parallel instead of successive pictures: no picture waits for the next.
	// When a live stream without an end breaks off, the picture that FFmpeg still holds is dropped: it is old, and may be
	// cut short.
	Live bool
	// Timeout is how long the next packet of a live stream may take; those of a playlist are given the time that the ones
	// before it play in addition.
	Timeout time.Duration
	// Track is the number of the video track to read, from 0; negative: the largest, or of several the default.
	Track int
	// Pairs are options of FFmpeg's demuxers and protocols, as key;value|key;value. Unknown keys are ignored.
	Pairs string
	// Tap receives the stream before it is decoded, if it is H.264 without an end; nil: nobody does.
	Tap Tap
	// MaxPixels bounds width x height: larger pictures are not decoded.
	MaxPixels int
}

// Reader decodes the pictures of one stream, one after the other. It belongs to one goroutine, which must close it; others may
// call Waits.
type Reader struct {
	closing     sync.Mutex    // held while c is freed, and while another goroutine looks at it
	err         func() error  // why the reader was interrupted, nil before
	stop        func() bool   // stops watching the context; false: the interruption has begun
	gone        chan struct{} // closed after the interruption
	orientation int           // of the picture that Next decoded, as OODCAST_FLIP_X and so on
	live        bool
	jpegs       jpegs // what has come of a stream of pictures
	watch       *watch
	c           *C.oodcast_av
}

// Open opens url as FFmpeg spells it: file:PATH, rtsp://… When ctx is done, a waiting call soon returns its error, and
// every later call returns it at once. Errors do not contain the URL.
func Open(ctx context.Context, url string, opt Options) (*Reader, error) {
	Silence()
	r := &Reader{live: opt.Live, err: ctx.Err, gone: make(chan struct{}), c: C.oodcast_av_alloc()}
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
	live := C.int(0)
	if opt.Live {
		live = 1
	}
	timeout := C.int64_t(opt.Timeout.Microseconds())
	err := r.failure(C.oodcast_av_open(r.c, u, pairs, C.int(opt.Track), live, timeout, C.int64_t(opt.MaxPixels)))
	if errors.Is(err, errNoTrack) {
		err = r.noTrack(opt.Track)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.startWatch(opt.Tap)
	return r, nil
}

// ErrOnePicture means that an address of HTTP holds one picture and not a stream.
var ErrOnePicture = errors.New("it is a single picture, and http:// is for streams: use the camera's address for MJPEG or RTSP")

// noTrack says why a track was not found.
func (r *Reader) noTrack(wanted int) error {
	switch n := int(r.c.tracks); n {
	case 0:
		return errNoTrack
	case 1:
		return fmt.Errorf("it has one video track, with the number 0, and no track %d", wanted)
	default:
		return fmt.Errorf("it has %d video tracks, with the numbers 0 to %d, and no track %d", n, n-1, wanted)
	}
}

// Track is the number of the video track that is read, from 0, and how many there are.
func (r *Reader) Track() (number, of int) {
	if r.c == nil {
		return 0, 0
	}
	return int(r.c.track), int(r.c.tracks)
}

// TrackSize is the size in pixels that the head of the stream states for the track, 0 x 0 when it states none.
func (r *Reader) TrackSize() (width, height int) {
	if r.c == nil {
		return 0, 0
	}
	return int(r.c.codec.width), int(r.c.codec.height)
}

// ErrNoPicture means that a packet of an endless stream has come but no picture yet.
var ErrNoPicture = errors.New("no picture yet")

// Next decodes the next picture and returns its size in pixels when it stands upright. Packets that cannot be decoded are
// skipped. The end of the stream is io.EOF. Of an endless stream Next reads no more than one packet: see ErrNoPicture.
func (r *Reader) Next() (width, height int, err error) {
	if r.c == nil {
		return 0, 0, errClosed
	}
	if err := r.err(); err != nil { // the interruption may not have reached FFmpeg yet
		return 0, 0, err
	}
	if r.c.pictures != 0 {
		err = r.nextJPEG()
	} else {
		err = r.next()
	}
	if err != nil {
		return 0, 0, err
	}
	r.orientation = int(C.oodcast_av_orientation(r.c))
	r.decoded()
	width, height = r.size()
	return width, height, nil
}

// nextJPEG decodes the next picture of a stream of pictures. It reads from the network once at most.
func (r *Reader) nextJPEG() error {
	const chunk = 1 << 16
	for waited := false; ; waited = true {
		for {
			jpeg, err := r.jpegs.next()
			if err != nil {
				return err
			}
			if jpeg == nil {
				break
			}
			err = r.failure(C.oodcast_av_decode(r.c, (*C.uint8_t)(unsafe.Pointer(&jpeg[0])), C.int(len(jpeg))))
			if err == nil {
				r.jpegs.decoded()
			}
			if !errors.Is(err, ErrNoPicture) {
				return err
			}
		}
		if waited {
			return ErrNoPicture
		}
		space := r.jpegs.space(chunk)
		n := C.oodcast_av_read(r.c, (*C.uint8_t)(unsafe.Pointer(&space[0])), chunk)
		if n < 0 {
			if err := r.failure(n); !errors.Is(err, io.EOF) || r.c.single == 0 || r.jpegs.number > 1 {
				return err
			}
			return ErrOnePicture
		}
		r.jpegs.grow(int(n))
	}
}

// size is the size of the upright picture that Next decoded.
func (r *Reader) size() (width, height int) {
	width, height = int(r.c.frame.width), int(r.c.frame.height)
	if r.orientation&C.OODCAST_SWAP != 0 {
		return height, width
	}
	return width, height
}

// RGB writes the picture that Next decoded to dst, upright: 3 x width x height bytes, rows from the top, without padding.
// There is no copy in between when the picture needs no turn, is 8-bit 4:2:0 or 4:2:2 of even height, 4:4:4, RGB or grey, its
// width is divisible by 32, and dst is aligned to 32 bytes.
func (r *Reader) RGB(dst []byte) error {
	if r.c == nil {
		return errClosed
	}
	width, height := r.size()
	if want := 3 * width * height; want == 0 || len(dst) != want {
		return fmt.Errorf("%d bytes for a picture of %d", len(dst), want)
	}
	return r.failure(C.oodcast_av_rgb(r.c, (*C.uint8_t)(unsafe.Pointer(&dst[0])), C.int(r.orientation)))
}

// Time is the time of the picture that Next decoded, counted from the start of the stream; ok is false when the picture
// has none.
func (r *Reader) Time() (t time.Duration, ok bool) {
	if r.c == nil || r.c.stream == nil || r.c.frame.best_effort_timestamp == C.nopts() {
		return 0, false
	}
	pts := r.c.frame.best_effort_timestamp
	if start := r.c.stream.start_time; start != C.nopts() {
		pts -= start
	}
	return time.Duration(float64(C.seconds(r.c.stream.time_base, pts)) * float64(time.Second)), true
}

// Endless reports whether the stream is live and does not say where it ends. A film over HTTP does.
func (r *Reader) Endless() bool { return r.c != nil && r.c.endless != 0 }

// Bursts reports whether the stream is live and comes a segment at a time, ahead of its time, as those of playlists do.
func (r *Reader) Bursts() bool { return r.c != nil && r.c.bursts != 0 }

// Waits reports whether a call waits for the next packet of a live stream, within its time limit, and whether packets come
// meanwhile that FFmpeg keeps back because no key frame has come. Any goroutine may call it at any time.
func (r *Reader) Waits() (waits, keyless bool) {
	r.closing.Lock()
	defer r.closing.Unlock()
	if r.c == nil {
		return false, false
	}
	return C.oodcast_av_waits(r.c) != 0, C.keyless(r.c) != 0
}

// Packets is the number of packets that came, and how many of them began with a key frame.
func (r *Reader) Packets() (all, keys uint64) {
	if r.c == nil {
		return 0, 0
	}
	return uint64(r.c.packets), uint64(r.c.keys)
}

// Rate is the nominal number of pictures per second, 0 when unknown.
func (r *Reader) Rate() float64 {
	if r.c == nil || r.c.stream == nil {
		return 0
	}
	if rate := float64(C.rate(r.c)); rate > 0 { // not NaN
		return rate
	}
	return 0
}

// Close closes the stream and frees its memory. Closing twice is harmless.
func (r *Reader) Close() error {
	if r.c == nil {
		return nil
	}
	r.endWatch()
	if !r.stop() {
		<-r.gone // the interruption writes to the memory freed below
	}
	r.closing.Lock()
	defer r.closing.Unlock()
	C.oodcast_av_free(r.c)
	r.c = nil
	return nil
}

var (
	errClosed  = errors.New("closed")
	errNoTrack = errors.New("it has no video track")
)

// failure turns FFmpeg's return value into an error.
func (r *Reader) failure(code C.int) error {
	if code == 0 {
		return nil
	}
	if err := r.err(); err != nil { // protocols report an interruption as all sorts of failure
		return err
	}
	switch code {
	case C.AVERROR_EOF:
		return io.EOF
	case C.OODCAST_ONE_PICTURE:
		return ErrOnePicture
	case C.AVERROR_STREAM_NOT_FOUND:
		return errNoTrack
	case C.again():
		return ErrNoPicture
	}
	if reason := C.GoString(&r.c.reason[0]); reason != "" && !r.live {
		return fmt.Errorf("%s: %s", reasonOf(code), reason)
	}
	return errors.New(reasonOf(code))
}

// reasonOf is FFmpeg's text for an AVERROR.
func reasonOf(code C.int) string {
	var text [C.AV_ERROR_MAX_STRING_SIZE]C.char
	C.av_strerror(code, &text[0], C.AV_ERROR_MAX_STRING_SIZE)
	return C.GoString(&text[0])
}

// Silence stops FFmpeg from logging to stderr, in the whole process: its lines contain addresses with their credentials.
func Silence() { C.oodcast_av_silence() }

// Version is the release of the FFmpeg libraries that the process runs with.
func Version() string { return C.GoString(C.av_version_info()) }
