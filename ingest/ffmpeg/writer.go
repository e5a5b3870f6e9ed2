package ffmpeg

/*
#include <stdlib.h>
#include "writer.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
	"unsafe"
)

// Writer writes an MP4 film whose pictures keep their own times: H.264, or MPEG-4 part 2 where FFmpeg has no encoder of
// H.264. The film grows in a hidden file beside its place and gets its name when it is complete. A Writer belongs to one
// goroutine, which must call Close or Discard.
type Writer struct {
	path, temporary       string
	width, height         int // of the pictures
	evenWidth, evenHeight int // of the film
	rate                  float64
	last, shown           int64 // ticks
	count                 int
	padded                []byte
	c                     *C.oodcast_av_writer
}

// maxFilmSide bounds the sides of a film: libswscale and the encoders take no more.
const maxFilmSide = 16384

// Create begins a film of width x height pictures. Odd sides lose their last pixel, because H.264 takes even ones only;
// a side of one pixel is doubled. rate is the usual number of pictures per second: the encoder's hint, and how long the
// picture of a film of one is shown. Nothing appears at path before Close.
func Create(path string, width, height int, rate float64) (*Writer, error) {
	if width < 1 || height < 1 || width > maxFilmSide || height > maxFilmSide {
		return nil, fmt.Errorf("write video %q: %dx%d pixels, want 1 to %d a side", path, width, height, maxFilmSide)
	}
	if !(rate > 0 && rate <= 1000) {
		return nil, fmt.Errorf("write video %q: %v pictures per second, want up to 1000", path, rate)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".oodcast-*.mp4")
	if err != nil {
		return nil, fmt.Errorf("write video %q: %w", path, pathReason(err))
	}
	w := &Writer{
		path: path, temporary: f.Name(), width: width, height: height, evenWidth: max(2, width&^1), evenHeight: max(2, height&^1),
		rate: rate, shown: int64(math.Round(C.OODCAST_AV_TICKS / rate)),
		c: (*C.oodcast_av_writer)(C.calloc(1, C.sizeof_oodcast_av_writer)),
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("write video %q: %w", path, pathReason(err)), w.Discard())
	}
	Silence()
	name := C.CString(w.temporary)
	defer C.free(unsafe.Pointer(name))
	hint := C.AVRational{num: C.int(math.Round(rate * 1000)), den: 1000}
	if err := w.failure(C.oodcast_av_create(w.c, name, C.int(w.evenWidth), C.int(w.evenHeight), hint)); err != nil {
		return nil, errors.Join(err, w.Discard())
	}
	return w, nil
}

// Write appends a picture of packed RGB pixels that is shown from the given time on. The times must grow; they are rounded
// to 1/60000 s.
func (w *Writer) Write(rgb []byte, at time.Duration) error {
	if w.c == nil {
		return fmt.Errorf("write video %q: closed", w.path)
	}
	if len(rgb) != 3*w.width*w.height {
		return fmt.Errorf("write video %q: %d bytes, want %dx%d pixels", w.path, len(rgb), w.width, w.height)
	}
	tick := int64(math.Round(at.Seconds() * C.OODCAST_AV_TICKS))
	if w.count > 0 {
		tick = max(tick, w.last+1)
		w.shown = tick - w.last
	}
	row := 3 * w.width
	if w.width < w.evenWidth || w.height < w.evenHeight {
		rgb, row = w.pad(rgb), 3*w.evenWidth
	}
	w.last = tick
	w.count++
	return w.failure(C.oodcast_av_write(w.c, (*C.uint8_t)(&rgb[0]), C.int(row), C.int64_t(tick), C.int64_t(w.shown)))
}

// pad repeats the pixels of a side of one pixel.
func (w *Writer) pad(rgb []byte) []byte {
	w.padded = w.padded[:0]
	for y := range w.evenHeight {
		line := rgb[3*w.width*min(y, w.height-1):]
		for x := range w.evenWidth {
			p := 3 * min(x, w.width-1)
			w.padded = append(w.padded, line[p:p+3]...)
		}
	}
	return w.padded
}

// Close completes the film and gives it its name. After an error there is no film.
func (w *Writer) Close() error {
	if w.c == nil {
		return nil
	}
	err := w.failure(C.oodcast_av_finish(w.c))
	if err == nil {
		err = w.place()
	}
	return errors.Join(err, w.Discard())
}

// place flushes the complete file to the disk, which may still find that it is full, and renames it.
func (w *Writer) place() error {
	f, err := os.Open(w.temporary)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(w.temporary, w.path)
	}
	if err != nil {
		return fmt.Errorf("write video %q: %w", w.path, pathReason(err))
	}
	w.temporary = ""
	return nil
}

// Discard drops a film that is not complete. After Close, or twice, it is harmless.
func (w *Writer) Discard() error {
	if w.c == nil {
		return nil
	}
	C.oodcast_av_discard(w.c)
	C.free(unsafe.Pointer(w.c))
	w.c = nil
	if w.temporary == "" {
		return nil
	}
	if err := os.Remove(w.temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write video %q: %w", w.path, pathReason(err))
	}
	return nil
}

func (w *Writer) failure(code C.int) error {
	if code >= 0 {
		return nil
	}
	return fmt.Errorf("write video %q: %s", w.path, reasonOf(code))
}

// pathReason strips the operation and the path from an error: messages have the film's own path.
func pathReason(err error) error {
	var path *os.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
