package ffmpeg

/*
#include "reader.h"
*/
import "C"

import (
	"bytes"
	"slices"
	"time"
	"unsafe"
)

// Tap receives the H.264 of an endless stream as it comes, before it is decoded. Next and Close of the Reader call its methods,
// which must not wait.
type Tap interface {
	// Format says what the stream is from now on. It is called at the second key frame, when a whole group of pictures has
	// been seen, and at every change; the zero Format at the end.
	Format(Format)
	// Wanted reports whether Unit is to be called.
	Wanted() bool
	// Unit hands over an access unit.
	Unit(Unit)
}

// Format describes H.264.
type Format struct {
	// Profile, Constraints and Level are the first three bytes of the sequence parameter set.
	Profile, Constraints, Level byte
	// Unfit says why a receiver that shows pictures in the order in which they come cannot take the stream; "" when it can.
	Unfit string
}

// Unit is an access unit: one picture, in Annex B.
type Unit struct {
	// Time is the time of the picture on the stream's clock.
	Time time.Duration
	// Key says that decoding can start here. The parameter sets come before the picture then.
	Key bool
	// Data must not be changed. It is empty where a picture is missing, because it is too large or cannot be converted.
	Data []byte
}

// slowest is the longest time between two key frames of a stream that can be passed on: its receivers wait that long for their
// first picture, and after a loss.
const slowest = 5 * time.Second

// regular is the number of key frames that are to come in time after a longer pause.
const regular = 4

// The reasons for which a stream does not suit.
const (
	unfitReordered  = "pictures are not sent in the order in which they are shown (B-frames)"
	unfitInterlaced = "pictures are interlaced"
	unfitTurned     = "pictures have to be turned"
	unfitSlow       = "key frames are more than 5 s apart"
)

// watch follows the H.264 of a stream.
type watch struct {
	tap      Tap
	sps, pps []byte // the newest parameter sets, with start codes
	keys     int    // IDR pictures that have come with these parameter sets, or since they were too far apart
	lastKey  time.Time
	slow     bool   // key frames are too far apart
	told     Format // what the tap has been told
}

// maxUnit bounds what is copied of one access unit.
const maxUnit = 8 << 20

// startWatch begins to follow the stream, if it is H.264 without an end.
func (r *Reader) startWatch(tap Tap) {
	if tap == nil || C.oodcast_av_h264(r.c) == 0 {
		return
	}
	r.watch = &watch{tap: tap}
	var size C.int
	if p := C.oodcast_av_headers(r.c, &size); p != nil && size > 0 {
		r.watch.learn(readHead(unsafe.Slice((*byte)(p), int(size))))
	}
}

// endWatch tells the tap that nothing more comes.
func (r *Reader) endWatch() {
	if w := r.watch; w != nil {
		r.watch = nil
		w.tell(Format{})
	}
}

// next is oodcast_av_next. On the way it hands packets to the tap.
func (r *Reader) next() error {
	w := r.watch
	if w == nil {
		return r.failure(C.oodcast_av_next(r.c))
	}
	r.c.tap = C.OODCAST_TAP_KEYS
	if w.tap.Wanted() {
		r.c.tap = C.OODCAST_TAP_ALL
	}
	code := C.oodcast_av_next(r.c)
	for ; code == C.OODCAST_TAPPED; code = C.oodcast_av_next(r.c) {
		r.tapped(time.Now())
	}
	return r.failure(code)
}

// decoded follows up a picture that was decoded.
func (r *Reader) decoded() {
	if w := r.watch; w != nil {
		w.tell(w.format(int(r.c.unfit), r.orientation))
	}
}

// tapped looks at the packet that was read, and hands it to the tap if that wants it.
func (r *Reader) tapped(now time.Time) {
	w := r.watch
	var size C.int
	p := C.oodcast_av_unit(r.c, &size)
	if p == nil || size <= 0 || size > maxUnit {
		if r.c.tap == C.OODCAST_TAP_ALL {
			w.tap.Unit(Unit{})
		}
		return
	}
	data := unsafe.Slice((*byte)(p), int(size))
	h := readHead(data)
	if w.learn(h) {
		r.c.unfit = 0
	}
	w.count(h.idr, now)
	if r.c.tap == C.OODCAST_TAP_ALL {
		w.tap.Unit(Unit{Time: r.packetTime(), Key: h.idr && w.complete(), Data: w.copy(data, h)})
	}
}

// packetTime is the time of the packet that was read.
func (r *Reader) packetTime() time.Duration {
	t := r.c.packet.pts
	if t == C.INT64_MIN {
		t = r.c.packet.dts
	}
	if t == C.INT64_MIN {
		return 0
	}
	base := r.c.stream.time_base
	return time.Duration(float64(t) * float64(base.num) / float64(base.den) * float64(time.Second))
}

// learn keeps the parameter sets of an access unit and reports whether they describe another stream than the last ones.
func (w *watch) learn(h head) bool {
	changed := len(h.sps) > 0 && !bytes.Equal(h.sps, w.sps)
	if changed {
		w.sps = bytes.Clone(h.sps)
		if w.told.Unfit != "" || w.told == (Format{}) { // otherwise it goes on as it was, unless a picture shows the contrary
			w.keys, w.slow = 0, false
		}
	}
	if len(h.pps) > 0 && !bytes.Equal(h.pps, w.pps) {
		w.pps = bytes.Clone(h.pps)
	}
	return changed
}

// complete reports whether both parameter sets are known.
func (w *watch) complete() bool { return len(w.sps) >= startCode+4 && len(w.pps) > 0 }

// count counts a picture.
func (w *watch) count(idr bool, now time.Time) {
	if !w.lastKey.IsZero() && now.Sub(w.lastKey) > slowest {
		w.slow, w.keys = true, 0
	}
	if idr && w.complete() {
		w.keys++
		w.lastKey = now
		w.slow = w.slow && w.keys < regular
	}
}

// format returns what the stream is, as far as is known: the zero Format until a whole group of pictures has come.
func (w *watch) format(unfit, orientation int) Format {
	if !w.complete() {
		return Format{}
	}
	f := Format{Profile: w.sps[startCode+1], Constraints: w.sps[startCode+2], Level: w.sps[startCode+3]}
	switch {
	case unfit&C.OODCAST_REORDERED != 0:
		f.Unfit = unfitReordered
	case unfit&C.OODCAST_INTERLACED != 0:
		f.Unfit = unfitInterlaced
	case orientation != 0:
		f.Unfit = unfitTurned
	case w.slow:
		f.Unfit = unfitSlow
	case w.keys < 2:
		return Format{}
	}
	return f
}

// tell tells the tap what the stream is, when that has changed.
func (w *watch) tell(f Format) {
	if f != w.told {
		w.told = f
		w.tap.Format(f)
	}
}

// copy copies an access unit out of C's memory. A key frame that lacks parameter sets gets the newest.
func (w *watch) copy(unit []byte, h head) []byte {
	if h.idr && (len(h.sps) == 0 || len(h.pps) == 0) {
		return slices.Concat(unit[:h.after], w.sps, w.pps, unit[h.after:])
	}
	return bytes.Clone(unit)
}
