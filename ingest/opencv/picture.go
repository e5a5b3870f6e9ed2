package opencv

import (
	"bytes"
	"fmt"
	_ "image/jpeg" // for the sizes in the headers
	_ "image/png"
	"path/filepath"
	"strings"

	"gocv.io/x/gocv"
	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

	"github.com/google/renameio/v2"
	"github.com/oodcast/oodcast/ingest"
)

// IsPicture reports whether name has the extension of a picture format that ReadImage reads.
func IsPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm":
		return true
	default:
		return false
	}
}

// IsForeignPicture reports whether name has the extension of a picture format that ReadImage names and does not read.
func IsForeignPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2":
		return true
	default:
		return false
	}
}

// ReadImage reads a picture file into a frame that belongs to no pool. The picture is upright, as its EXIF data say; grey
// becomes RGB, 16 bits become 8, and transparency is dropped.
func ReadImage(path string) (*ingest.Frame, error) { return readImage(path, (*Picture).Read) }

// ReadStored is ReadImage without the orientation in the EXIF data: the pixels stand where the labels of a data set, which are
// files of their own, have them. OpenCV turns a TIFF picture in any case.
func ReadStored(path string) (*ingest.Frame, error) {
	return readImage(path, func(p *Picture, path string) error {
		_, err := p.read(path)
		return err
	})
}

func readImage(path string, read func(*Picture, string) error) (*ingest.Frame, error) {
	p := NewPicture()
	defer p.Close()
	if err := read(p, path); err != nil {
		return nil, err
	}
	f := ingest.NewFrame(p.Size())
	if err := p.RGB(f.Pix, f.Width, f.Height); err != nil {
		return nil, fmt.Errorf("read picture %q: %w", path, err)
	}
	return f, nil
}

// Picture holds a decoded picture in OpenCV's memory and is reused from picture to picture. It belongs to one goroutine,
// which must close it.
type Picture struct {
	bgr    gocv.Mat // 8 bits and 1, 3 (BGR) or 4 (BGRA) channels
	scaled gocv.Mat
}

// NewPicture returns an empty picture.
func NewPicture() *Picture { return &Picture{bgr: gocv.NewMat(), scaled: gocv.NewMat()} }

// Read decodes a picture file as ReadImage does.
func (p *Picture) Read(path string) error {
	orientation, err := p.read(path)
	if err == nil {
		p.turn(orientation)
	}
	return err
}

// read decodes a picture file and returns the orientation in its EXIF data.
func (p *Picture) read(path string) (orientation int, err error) {
	orientation, err = inspect(path)
	if err != nil {
		return 0, fmt.Errorf("read picture %q: %w", path, err)
	}
	silence()
	got := gocv.IMRead(path, gocv.IMReadColor|gocv.IMReadIgnoreOrientation)
	if got.Empty() {
		_ = got.Close()
		return 0, fmt.Errorf("read picture %q: %w: it cannot be decoded", path, ingest.ErrUnreadable)
	}
	_ = p.bgr.Close()
	p.bgr = got
	return orientation, nil
}

// turn makes a picture upright that was stored in the orientation, as EXIF numbers it.
func (p *Picture) turn(orientation int) {
	if 5 <= orientation && orientation <= 8 {
		out := gocv.NewMat()
		gocv.Transpose(p.bgr, &out)
		_ = p.bgr.Close()
		p.bgr = out
	}
	const topToBottom, leftToRight, both = 0, 1, -1
	switch orientation {
	case 2, 6:
		gocv.Flip(p.bgr, &p.bgr, leftToRight)
	case 3, 7:
		gocv.Flip(p.bgr, &p.bgr, both)
	case 4, 8:
		gocv.Flip(p.bgr, &p.bgr, topToBottom)
	}
}

// Size is the size of the picture in pixels, 0 x 0 when it is empty.
func (p *Picture) Size() (width, height int) { return p.bgr.Cols(), p.bgr.Rows() }

// RGB writes the picture to dst as packed RGB, scaled to width x height: 3*width*height bytes.
func (p *Picture) RGB(dst []byte, width, height int) error {
	if w, h := p.Size(); width == w && height == h {
		return copyRGB(dst, p.bgr)
	}
	scale(p.bgr, &p.scaled, width, height)
	return copyRGB(dst, p.scaled)
}

// Close frees the picture's memory. It must not be used any more.
func (p *Picture) Close() {
	_ = p.bgr.Close()
	_ = p.scaled.Close()
}

// WriteImage writes w*h packed RGB pixels in the format that the extension of path names (.png, .jpg, .webp, .bmp, .tif,
// .ppm). The file appears complete or not at all.
func WriteImage(path string, w, h int, rgb []byte) error {
	if w <= 0 || h <= 0 || len(rgb) != 3*w*h {
		return fmt.Errorf("write picture %q: %d bytes for %dx%d pixels", path, len(rgb), w, h)
	}
	if !IsPicture(path) || strings.EqualFold(filepath.Ext(path), ".pgm") {
		return fmt.Errorf("write picture %q: %w: want .png, .jpg, .webp, .bmp, .tif or .ppm", path, ingest.ErrUnsupported)
	}
	var encoded []byte
	bgr := gocv.NewMat()
	defer bgr.Close()
	err := withMat(h, w, rgb, func(m gocv.Mat) error {
		gocv.CvtColor(m, &bgr, gocv.ColorBGRToRGB) // its own inverse
		buf, err := gocv.IMEncode(gocv.FileExt(strings.ToLower(filepath.Ext(path))), bgr)
		if err != nil {
			return err
		}
		defer buf.Close()
		encoded = bytes.Clone(buf.GetBytes())
		return nil
	})
	if err == nil {
		err = renameio.WriteFile(path, encoded, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write picture %q: %w", path, err)
	}
	return nil
}
