package opencv_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

func TestPictureRoundTrip(t *testing.T) {
	const w, h = 7, 5 // odd on purpose
	rgb := make([]byte, 3*w*h)
	for i := range rgb {
		rgb[i] = byte(7 * i)
	}
	dir := t.TempDir()
	for _, ext := range []string{".png", ".bmp", ".tif", ".ppm"} { // without loss
		path := filepath.Join(dir, "picture"+ext)
		if err := opencv.WriteImage(path, w, h, rgb); err != nil {
			t.Fatal(err)
		}
		f, err := opencv.ReadImage(path)
		if err != nil || f.Width != w || f.Height != h || !bytes.Equal(f.Pix, rgb) {
			t.Errorf("%s: %v, or the pixels changed", ext, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	checkMats(t)
}

// Scaling works channel by channel: it does not matter whether a picture is scaled as BGR or as RGB.
func TestScale(t *testing.T) {
	path := filepath.Join(ingesttest.Photographs, "apple.jpg")
	whole, err := opencv.ReadImage(path)
	if err != nil {
		t.Fatal(err)
	}
	p := opencv.NewPicture()
	if err := p.Read(path); err != nil {
		t.Fatal(err)
	}
	for _, size := range [][2]int{{200, 100}, {whole.Width / 2, whole.Height / 2}, {1000, 900}, {1000, 100}} {
		got, want := make([]byte, 3*size[0]*size[1]), make([]byte, 3*size[0]*size[1])
		if err := opencv.Scale(got, size[0], size[1], whole.Pix, whole.Width, whole.Height); err != nil {
			t.Fatal(err)
		}
		if err := p.RGB(want, size[0], size[1]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%v: the pixels differ", size)
		}
	}
	if err := opencv.Scale(make([]byte, 12), 2, 2, make([]byte, 12), 3, 2); err == nil {
		t.Error("Scale accepts a buffer of another size")
	}
	p.Close()
	checkMats(t)
}

func TestWriteImageErrors(t *testing.T) {
	dir := t.TempDir()
	rgb := make([]byte, 12)
	for _, tt := range []struct {
		name, path string
		w          int
		is         error
		has        string
	}{
		{"no folder", filepath.Join(dir, "none", "x.png"), 2, fs.ErrNotExist, "write picture"},
		{"unknown format", filepath.Join(dir, "x.gif"), 2, ingest.ErrUnsupported, "want .png"},
		{"wrong size", filepath.Join(dir, "x.png"), 3, nil, "12 bytes for 3x2 pixels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := opencv.WriteImage(tt.path, tt.w, 2, rgb)
			if err == nil || !strings.Contains(err.Error(), tt.has) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("WriteImage = %v, want %q", err, tt.has)
			}
		})
	}
}

func TestForgedPictureSizeIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.ppm")
	if err := os.WriteFile(path, []byte("P6\n# huge\n9999999 9999999\n255\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := opencv.ReadImage(path); !errors.Is(err, ingest.ErrUnreadable) {
		t.Errorf("ReadImage = %v, want ErrUnreadable", err)
	}
}

// Arbitrary bytes are a picture or an error, and never end the process.
func FuzzReadImage(f *testing.F) {
	for _, ext := range []string{".png", ".jpg", ".bmp", ".tif", ".webp", ".ppm"} {
		path := filepath.Join(f.TempDir(), "seed"+ext)
		if err := opencv.WriteImage(path, 4, 3, make([]byte, 36)); err != nil {
			f.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, ext)
	}
	f.Fuzz(func(t *testing.T, raw []byte, ext string) {
		if !opencv.IsPicture("x"+ext) || strings.ContainsAny(ext, "/\x00") {
			t.Skip()
		}
		path := filepath.Join(t.TempDir(), "x"+ext)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Skip()
		}
		got, err := opencv.ReadImage(path)
		if (got == nil) == (err == nil) {
			t.Errorf("ReadImage = %v, %v", got, err)
		}
		if got != nil && len(got.Pix) != 3*got.Width*got.Height {
			t.Errorf("%d bytes for %dx%d pixels", len(got.Pix), got.Width, got.Height)
		}
	})
}

func BenchmarkReadImage(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.jpg")
	if err := opencv.WriteImage(path, 1024, 512, make([]byte, 3*1024*512)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := opencv.ReadImage(path); err != nil {
			b.Fatal(err)
		}
	}
}
