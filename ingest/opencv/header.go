package opencv

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/ingest"
)

// inspect looks at a picture file before OpenCV does, and returns its orientation as EXIF numbers it, 1 to 8. OpenCV ends the
// process when a size exceeds its limits, and reads a JPEG file that is cut short as a picture whose lower part is grey.
func inspect(path string) (orientation int, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, ingest.ErrNotFound
	}
	if err != nil {
		return 0, err // the caller wraps it
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return 0, fmt.Errorf("%w: it is a folder", ingest.ErrUnreadable)
	}
	head := make([]byte, 32)
	n, err := io.ReadFull(file, head)
	if n == 0 {
		return 0, fmt.Errorf("%w: the file is empty", ingest.ErrUnreadable)
	}
	head = head[:n]
	if err := checkSize(file, path, head); err != nil {
		return 0, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	switch r := bufio.NewReaderSize(file, 1<<16); {
	case bytes.HasPrefix(head, []byte(jpegStart)):
		orientation, err = scanJPEG(r)
	case bytes.HasPrefix(head, []byte(pngStart)):
		orientation = exifOfPNG(r)
	case kindOf(head) == webp:
		orientation = exifOfWebP(r)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ingest.ErrUnreadable, err)
	}
	if orientation < 1 || orientation > 8 {
		orientation = 1
	}
	return orientation, nil
}

// checkSize checks the size that the file's header states; head is the beginning of the file.
func checkSize(file *os.File, path string, head []byte) (err error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	var w, h int
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ppm", ".pgm", ".pnm":
		w, h, err = netpbmSize(file)
	default:
		var c image.Config
		c, _, err = image.DecodeConfig(file)
		w, h = c.Width, c.Height
	}
	switch kind := kindOf(head); {
	case kind != "" && kind != webp:
		return fmt.Errorf("%w: it is %s: convert it to JPEG or PNG", ingest.ErrUnreadable, kind)
	case err == nil:
		return ingest.CheckSize(w, h)
	case errors.Is(err, image.ErrFormat):
		return fmt.Errorf("%w: it does not begin as a picture does", ingest.ErrUnreadable)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the file is cut short", ingest.ErrUnreadable)
	case errors.Is(err, ingest.ErrUnreadable):
		return err
	default:
		return fmt.Errorf("%w: %w", ingest.ErrUnreadable, err)
	}
}

const (
	jpegStart = "\xFF\xD8\xFF"
	pngStart  = "\x89PNG\r\n\x1A\n"
	webp      = "WebP"
)

// kindOf names a format that a file's beginning shows and that image.DecodeConfig does not know; "" for all others. It returns
// webp for a WebP file of one picture.
func kindOf(head []byte) string {
	const animated = 2
	at := func(i, n int) string {
		if len(head) < i+n {
			return ""
		}
		return string(head[i : i+n])
	}
	if at(0, 4) == "RIFF" && at(8, 4) == "WEBP" {
		if at(12, 4) == "VP8X" && len(head) > 20 && head[20]&animated != 0 {
			return "an animated WebP"
		}
		return webp
	}
	if at(4, 4) == "ftyp" {
		switch brand := at(8, 4); brand {
		case "avif", "avis":
			return "an AVIF picture"
		case "heic", "heix", "hevc", "hevx", "heim", "heis", "hevm", "hevs":
			return "a HEIC picture"
		case "mif1", "msf1": // the brands that it is compatible with say which
			if strings.Contains(string(head[16:]), "avif") {
				return "an AVIF picture"
			}
			return "a HEIF picture"
		}
	}
	switch {
	case at(0, 2) == "\xFF\x0A", at(4, 8) == "JXL \r\n\x87\n":
		return "a JPEG XL picture"
	case at(4, 4) == "jP  ", at(0, 4) == "\xFF\x4F\xFF\x51":
		return "a JPEG 2000 picture"
	case at(0, 4) == "GIF8":
		return "a GIF picture"
	}
	return ""
}

// StillKind names the format of a file that holds a still picture in the container of films, such as "a HEIC picture"; "" for
// all others. FFmpeg would read some of them: lying on their side, or one tile of many.
func StillKind(path string) string {
	head := beginning(path)
	if len(head) < 12 || string(head[4:8]) != "ftyp" {
		return ""
	}
	switch string(head[8:12]) {
	case "avis", "hevc", "hevx", "msf1": // sequences
		return ""
	}
	return kindOf(head)
}

// PictureKind names the format of a file that holds a picture which oodcast does not read, such as "a HEIC picture"; "" for
// all others.
func PictureKind(path string) string {
	if kind := kindOf(beginning(path)); kind != webp {
		return kind
	}
	return ""
}

// beginning returns the first bytes of a file, none when it cannot be read.
func beginning(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	head := make([]byte, 32)
	n, _ := io.ReadFull(file, head)
	return head[:n]
}

// netpbmSize reads the header of a PPM or PGM file: a magic number, then numbers between white space and comments.
func netpbmSize(file *os.File) (w, h int, err error) {
	head := make([]byte, 512)
	n, err := file.Read(head)
	if err != nil {
		return 0, 0, err // the caller replaces it
	}
	var text strings.Builder
	for line := range strings.Lines(string(head[:n])) {
		before, _, _ := strings.Cut(line, "#")
		text.WriteString(before + " ")
	}
	var magic string
	if _, err := fmt.Sscan(text.String(), &magic, &w, &h); err != nil || len(magic) != 2 || magic[0] != 'P' {
		return 0, 0, fmt.Errorf("%w: it does not begin as a PPM or PGM picture does", ingest.ErrUnreadable)
	}
	return w, h, nil
}

var errCut = errors.New("the JPEG file is cut short")

// scanJPEG reads a JPEG file to the end of its picture and returns the orientation in its EXIF data, 0 if there is none. A
// file that ends before its picture does is errCut.
func scanJPEG(r *bufio.Reader) (orientation int, err error) {
	const startOfPicture, endOfPicture, application1, extra = 0xD8, 0xD9, 0xE1, 0x01
	for {
		if _, err := r.ReadSlice(0xFF); errors.Is(err, bufio.ErrBufferFull) {
			continue // pixels
		} else if err != nil {
			return 0, errCut
		}
		marker := byte(0xFF)
		for marker == 0xFF && err == nil {
			marker, err = r.ReadByte()
		}
		switch {
		case err != nil:
			return 0, errCut
		case marker == endOfPicture:
			return orientation, nil
		case marker == 0, marker == extra, 0xD0 <= marker && marker <= startOfPicture: // they stand alone
			continue
		}
		var length [2]byte
		if _, err := io.ReadFull(r, length[:]); err != nil {
			return 0, errCut
		}
		n := max(int(binary.BigEndian.Uint16(length[:]))-2, 0)
		if marker == application1 && orientation == 0 {
			segment, _ := r.Peek(min(n, 1<<15))
			orientation = exifOrientation(segment)
		}
		if _, err := r.Discard(n); err != nil {
			return 0, errCut
		}
	}
}

// exifOfPNG returns the orientation in the chunk eXIf, 0 if there is none.
func exifOfPNG(r *bufio.Reader) int {
	if _, err := r.Discard(len(pngStart)); err != nil {
		return 0
	}
	return exifOfChunk(r, "eXIf", func(head []byte) (name string, size, padded int64) {
		size = int64(binary.BigEndian.Uint32(head))
		return string(head[4:]), size, size + 4 // and its check sum
	})
}

// exifOfWebP returns the orientation in the chunk EXIF, 0 if there is none.
func exifOfWebP(r *bufio.Reader) int {
	if _, err := r.Discard(12); err != nil {
		return 0
	}
	return exifOfChunk(r, "EXIF", func(head []byte) (name string, size, padded int64) {
		size = int64(binary.LittleEndian.Uint32(head[4:]))
		return string(head[:4]), size, size + size%2
	})
}

// exifOfChunk looks for the chunk of that name in a file of chunks. describe reads the 8 bytes in front of each.
func exifOfChunk(r *bufio.Reader, want string, describe func(head []byte) (name string, size, padded int64)) int {
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0
		}
		name, size, padded := describe(head[:])
		if name == want {
			segment, _ := r.Peek(int(min(size, 1<<15)))
			return exifOrientation(segment)
		}
		if _, err := io.CopyN(io.Discard, r, padded); err != nil {
			return 0
		}
	}
}

// exifOrientation returns the orientation that EXIF data state, 0 if they state none: the tag 0x0112 in the first directory
// of a TIFF structure.
func exifOrientation(b []byte) int {
	const orientation, entry = 0x0112, 12
	b = bytes.TrimPrefix(b, []byte("Exif\x00\x00"))
	if len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch string(b[:2]) {
	case "II":
	case "MM":
		order = binary.BigEndian
	default:
		return 0
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return 0
	}
	n := int(order.Uint16(b[at:]))
	for e := b[at+2:]; n > 0 && len(e) >= entry; n, e = n-1, e[entry:] {
		if order.Uint16(e) == orientation {
			return int(order.Uint16(e[8:]))
		}
	}
	return 0
}
