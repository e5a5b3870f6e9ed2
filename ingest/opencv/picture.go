package opencv

import (
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // for the sizes in the headers
	_ "image/png"
	"os"
	"path/filepath"
	"strings"

	"gocv.io/x/gocv"
	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"

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

// ReadImage reads a picture file into a frame that belongs to no pool. It does not apply a rotation in the EXIF data; grey
// becomes RGB, 16 bits become 8, and transparency is dropped.
func ReadImage(path string) (*ingest.Frame, error) {
	p := NewPicture()
	defer p.Close()
	if err := p.Read(path); err != nil {
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
	if err := checkHeader(path); err != nil {
		return fmt.Errorf("read picture %q: %w", path, err)
	}
	silence()
	got := gocv.IMRead(path, gocv.IMReadColor|gocv.IMReadIgnoreOrientation)
	if got.Empty() {
		_ = got.Close()
		return fmt.Errorf("read picture %q: %w", path, ingest.ErrUnreadable)
	}
	_ = p.bgr.Close()
	p.bgr = got
	return nil
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

// checkHeader looks at the picture's size before OpenCV does: OpenCV ends the process when the size exceeds its limits.
func checkHeader(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return ingest.ErrNotFound
	}
	if err != nil {
		return err // the caller wraps it
	}
	defer file.Close()
	var w, h int
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ppm", ".pgm", ".pnm":
		w, h, err = netpbmSize(file)
	default:
		var c image.Config
		c, _, err = image.DecodeConfig(file)
		w, h = c.Width, c.Height
	}
	if err != nil {
		return ingest.ErrUnreadable
	}
	return ingest.CheckSize(w, h)
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
		return 0, 0, ingest.ErrUnreadable
	}
	return w, h, nil
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
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write picture %q: %w", path, err)
	}
	temp := filepath.Join(filepath.Dir(path), "."+strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))+
		".part"+filepath.Ext(path))
	ok := false
	bgr := gocv.NewMat()
	defer bgr.Close()
	err := withMat(h, w, rgb, func(m gocv.Mat) error {
		gocv.CvtColor(m, &bgr, gocv.ColorBGRToRGB) // its own inverse
		ok = gocv.IMWrite(temp, bgr)
		return nil
	})
	if err == nil && !ok {
		err = errors.New("OpenCV wrote nothing: is the disk full or the folder read-only?")
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return fmt.Errorf("write picture %q: %w", path, err)
	}
	return nil
}
