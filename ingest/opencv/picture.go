package opencv

import (
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // headers, for their size
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

// ReadImage reads a picture file as an unpooled frame. A rotation in its EXIF data is not applied; grey becomes RGB, 16
// bits become 8, transparency is dropped.
func ReadImage(path string) (*ingest.Frame, error) {
	m := gocv.NewMat()
	defer m.Close()
	if err := readPicture(&m, path); err != nil {
		return nil, err
	}
	f := ingest.NewFrame(m.Cols(), m.Rows())
	if err := copyRGB(f.Pix, &m); err != nil {
		return nil, fmt.Errorf("read picture %q: %w", path, err)
	}
	return f, nil
}

// readPicture decodes the file into m.
func readPicture(m *gocv.Mat, path string) error {
	if err := checkHeader(path); err != nil {
		return fmt.Errorf("read picture %q: %w", path, err)
	}
	silence()
	got := gocv.IMRead(path, gocv.IMReadColor|gocv.IMReadIgnoreOrientation)
	if got.Empty() {
		_ = got.Close()
		return fmt.Errorf("read picture %q: %w", path, ingest.ErrUnreadable)
	}
	_ = m.Close()
	*m = got
	return nil
}

// checkHeader looks at the size before OpenCV does: OpenCV ends the process when it is beyond its limits.
func checkHeader(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return ingest.ErrNotFound
	}
	if err != nil {
		return err // wrapped by the caller
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
	return checkSize(w, h)
}

// netpbmSize reads the header of a PPM or PGM file: a magic, then numbers between white space and comments.
func netpbmSize(file *os.File) (w, h int, err error) {
	head := make([]byte, 512)
	n, err := file.Read(head)
	if err != nil {
		return 0, 0, err // replaced by the caller
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

// WriteImage writes w*h packed RGB pixels in the format that the ending of path names (.png, .jpg, .webp, .bmp, .tif,
// .ppm). The file is complete or not there.
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
	err := withMat(h, w, rgb, func(m *gocv.Mat) {
		gocv.CvtColor(*m, &bgr, gocv.ColorBGRToRGB) // its own inverse
		ok = gocv.IMWrite(temp, bgr)
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
