package opencv

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
)

// IsPicture reports whether the name has the ending of a picture that ReadImage reads.
func IsPicture(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm":
		return true
	default:
		return false
	}
}

// Pictures returns the paths of the pictures in folder, in natural order: frame2.png comes before frame10.png.
// Hidden files and subfolders are left out. No picture at all is an error.
func Pictures(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("open folder %q: %w", folder, err)
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && IsPicture(e.Name()) && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, e.Name())
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("open folder %q: %w: it holds no .png, .jpg, .bmp, .webp, .tif or .ppm file",
			folder, ingest.ErrUnreadable)
	}
	slices.SortStableFunc(files, compareNatural)
	for i, f := range files {
		files[i] = filepath.Join(folder, f)
	}
	return files, nil
}

// compareNatural orders names like cmp.Compare, but runs of digits by their value.
func compareNatural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		n, m := digits(x), digits(y)
		if n > 0 && m > 0 {
			p, q := strings.TrimLeft(x[:n], "0"), strings.TrimLeft(y[:m], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), cmp.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[n:], y[m:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(a, b))
}

// digits is the length of the run of digits at the start of s.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// pictureReader reads picture files one after the other; they may differ in size.
type pictureReader struct {
	folder string   // list this folder at open …
	files  []string // … or read just these
	rate   float64

	list []string
	next int
}

func (p *pictureReader) open(context.Context) (err error) {
	p.next, p.list = 0, p.files
	if p.folder != "" {
		p.list, err = Pictures(p.folder)
	}
	return err
}

func (p *pictureReader) read(m *gocv.Mat) error {
	if p.next >= len(p.list) {
		return io.EOF
	}
	p.next++
	return readPicture(m, p.list[p.next-1])
}

func (p *pictureReader) position() (time.Duration, bool) {
	return time.Duration(float64(p.next-1) / p.rate * float64(time.Second)), true
}

func (p *pictureReader) fps() float64 { return p.rate }

func (p *pictureReader) close() {}
