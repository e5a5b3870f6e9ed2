package source

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

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// Pictures returns the paths of the pictures in a folder, in natural order: frame2.png comes before frame10.png. It leaves
// out hidden files and subfolders. Pictures of formats that oodcast does not read are among them, so that they are named and
// counted when they are read, unless a readable one has the same name; a folder that holds no others is an error.
func Pictures(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder %q: %w", dir, err)
	}
	var files, foreign []string
	stem := func(name string) string { return strings.TrimSuffix(name, filepath.Ext(name)) }
	readable := map[string]bool{}
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir(), strings.HasPrefix(name, "."):
		case opencv.IsPicture(name):
			files = append(files, name)
			readable[stem(name)] = true
		case opencv.IsForeignPicture(name):
			foreign = append(foreign, name)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("open folder %q: %w: it holds no .png, .jpg, .bmp, .webp, .tif or .ppm file%s",
			dir, ingest.ErrUnreadable, otherPicture(dir, entries))
	}
	for _, name := range foreign {
		if !readable[stem(name)] { // otherwise it has been converted
			files = append(files, name)
		}
	}
	slices.SortStableFunc(files, compareNatural)
	for i, f := range files {
		files[i] = filepath.Join(dir, f)
	}
	return files, nil
}

// otherPicture tells of a picture in a folder that has the wrong format; "" when there is none among the first files.
func otherPicture(dir string, entries []os.DirEntry) string {
	for _, e := range entries[:min(len(entries), 100)] {
		if !e.Type().IsRegular() {
			continue
		}
		if kind := opencv.PictureKind(filepath.Join(dir, e.Name())); kind != "" {
			return fmt.Sprintf("; %s is %s: convert it to JPEG or PNG", e.Name(), kind)
		}
	}
	return ""
}

// compareNatural orders names as cmp.Compare does, except that it orders runs of digits by their value.
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

// digits is the length of the run of digits at the beginning of s.
func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// folder reads picture files one after the other; they may differ in size.
type folder struct {
	dir   string   // list this folder in Open …
	files []string // … or read just these files
	rate  float64  // pictures per second

	list    []string
	next    int // index in list
	picture *opencv.Picture
}

// Open implements reader.
func (p *folder) Open(context.Context) (err error) {
	p.next, p.list = 0, p.files
	if p.dir != "" {
		if p.list, err = Pictures(p.dir); err != nil {
			return err
		}
	}
	p.picture = opencv.NewPicture()
	return nil
}

// Next implements reader.
func (p *folder) Next() (width, height int, err error) {
	if p.next >= len(p.list) {
		return 0, 0, io.EOF
	}
	p.next++
	if err := p.picture.Read(p.path()); err != nil {
		return 0, 0, err
	}
	width, height = p.picture.Size()
	return width, height, nil
}

// RGB implements reader.
func (p *folder) RGB(dst []byte, width, height int) error {
	if err := p.picture.RGB(dst, width, height); err != nil {
		return fmt.Errorf("read %q: %w", p.path(), err)
	}
	return nil
}

// skips implements skipper. A picture that was asked for by name must not be left out.
func (p *folder) skips() string {
	if p.dir == "" || p.next == 0 {
		return ""
	}
	return p.path()
}

// path is the file that Next read last.
func (p *folder) path() string { return p.list[p.next-1] }

// Position implements reader.
func (p *folder) Position() (time.Duration, bool) {
	return time.Duration(float64(p.next-1) / p.rate * float64(time.Second)), true
}

// Rate implements reader.
func (p *folder) Rate() float64 { return p.rate }

// Close implements reader.
func (p *folder) Close() error {
	if p.picture != nil {
		p.picture.Close()
		p.picture = nil
	}
	return nil
}
