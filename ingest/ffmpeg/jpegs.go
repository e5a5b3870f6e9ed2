package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// jpegs takes a stream of bytes apart into the JPEG pictures that it contains. What is between them is passed over, whatever it
// is: the boundaries and headers of a multipart stream are wrong in many cameras, and JPEG says itself where it begins and ends.
type jpegs struct {
	store  []byte
	buf    []byte // part of store: from the beginning of the picture, or of what has not been looked at
	pos    int    // in buf: up to here the picture has been followed; 0 outside a picture
	used   int    // length of the picture that next returned last, still at the beginning of buf
	idle   int    // bytes since decoded was called
	ended  bool   // a picture of this stream had its end marker
	number int    // of pictures so far
}

// The largest picture, and how much may come without one.
const (
	maxJPEG = 32 << 20
	maxIdle = 2 * maxJPEG
)

var errNoJPEG = errors.New("no JPEG picture in the last 64 MB")

// space returns where the next n bytes of the stream are to be written; grow takes over the first of them.
func (j *jpegs) space(n int) []byte {
	j.drop(j.used)
	if cap(j.buf)-len(j.buf) < n {
		if len(j.store) < len(j.buf)+n {
			j.store = make([]byte, 2*len(j.buf)+n)
		}
		j.buf = j.store[:copy(j.store, j.buf)]
	}
	return j.buf[len(j.buf) : len(j.buf)+n]
}

func (j *jpegs) grow(n int) {
	j.buf = j.buf[:len(j.buf)+n]
	j.idle += n
}

// next returns the next picture, or nil when it is not complete. The picture is valid until the next call of a method.
func (j *jpegs) next() ([]byte, error) {
	j.drop(j.used)
	for j.pos > 0 || j.begin() {
		length, found := j.follow()
		if !found {
			break
		}
		whole := length > 0 && j.buf[length-1] == endOfImage
		if !whole && j.ended { // the others of this stream are whole, so this one is cut short
			j.drop(length)
			continue
		}
		j.ended = j.ended || whole
		j.pos, j.used = 0, length
		j.number++
		return j.buf[:length], nil
	}
	if len(j.buf) > maxJPEG {
		j.drop(len(j.buf))
	}
	if j.idle > maxIdle {
		return nil, errNoJPEG
	}
	return nil, nil
}

// decoded notes that the last picture was one.
func (j *jpegs) decoded() { j.idle = 0 }

// drop forgets the first n bytes, and the picture that begins with them if there are any.
func (j *jpegs) drop(n int) {
	if n > 0 {
		j.buf, j.pos, j.used = j.buf[n:], 0, 0
	}
}

const (
	startOfImage, endOfImage = 0xD8, 0xD9
	extraMarker, firstAlone  = 0x01, 0xD0
)

// begin looks for the beginning of a picture.
func (j *jpegs) begin() bool {
	i := bytes.Index(j.buf, []byte{0xFF, startOfImage, 0xFF})
	if i < 0 {
		j.drop(max(len(j.buf)-2, 0))
		return false
	}
	j.drop(i)
	j.pos = 2
	return true
}

// follow follows the picture's markers to its end, or to the beginning of another picture, and returns its length.
func (j *jpegs) follow() (length int, found bool) {
	for {
		i := bytes.IndexByte(j.buf[j.pos:], 0xFF)
		if i < 0 {
			j.pos = len(j.buf)
			return 0, false
		}
		j.pos += i
		rest := j.buf[j.pos:]
		if len(rest) < 2 {
			return 0, false
		}
		switch marker := rest[1]; {
		case marker == endOfImage:
			return j.pos + 2, true
		case marker == startOfImage:
			return j.pos, true
		case marker == 0xFF:
			j.pos++
		case marker <= extraMarker, firstAlone <= marker && marker < startOfImage: // they stand alone
			j.pos += 2
		case len(rest) < 4:
			return 0, false
		default:
			n := 2 + max(int(binary.BigEndian.Uint16(rest[2:])), 2)
			if len(rest) < n {
				return 0, false
			}
			j.pos += n
		}
	}
}
