package dataset_test

import (
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// save writes a file through encode, in a folder that it makes.
func save(t *testing.T, path string, encode func(io.Writer) error) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := encode(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// halves draws a mask of 16×8 in the given image: the right half is white.
func halves[I interface{ Set(x, y int, c color.Color) }](img I, white color.Color) I {
	for y := range 8 {
		for x := range 8 {
			img.Set(8+x, y, white)
		}
	}
	return img
}

// Every way in which people save a mask of two values gives the same labels.
func TestTwoValuedMasks(t *testing.T) {
	r := image.Rect(0, 0, 16, 8)
	png := func(img image.Image) func(io.Writer) error {
		return func(w io.Writer) error { return png.Encode(w, img) }
	}
	black := color.NRGBA{A: 255}
	wide := make(color.Palette, 256)
	for i := range wide {
		wide[i] = color.Gray{Y: uint8(i)}
	}
	opaque := image.NewNRGBA(r)
	for i := 3; i < len(opaque.Pix); i += 4 {
		opaque.Pix[i] = 255
	}
	masks := map[string]func(io.Writer) error{
		"grey.png":    png(halves(image.NewGray(r), color.White)),
		"rgb.png":     png(halves(opaque, color.White)),
		"palette.png": png(halves(image.NewPaletted(r, wide), color.White)),                              // indices 0 and 255
		"one-bit.png": png(halves(image.NewPaletted(r, color.Palette{black, color.White}), color.White)), // 0 and 1
		"deep.png":    png(halves(image.NewGray16(r), color.White)),                                      // 0 and 65535
		"mid.png":     png(halves(image.NewGray(r), color.Gray{Y: 128})),
		"grey.jpg": func(w io.Writer) error {
			return jpeg.Encode(w, halves(image.NewGray(r), color.White), &jpeg.Options{Quality: 60})
		},
		"grey.bmp":  func(w io.Writer) error { return bmp.Encode(w, halves(image.NewGray(r), color.White)) },
		"grey.tiff": func(w io.Writer) error { return tiff.Encode(w, halves(image.NewGray(r), color.White), nil) },
	}
	want := make([]uint8, 16*8)
	for i := range want {
		want[i] = uint8(i / 8 % 2)
	}
	for name, encode := range masks {
		root := t.TempDir()
		mask := filepath.Join(root, "masks", "a"+filepath.Ext(name))
		save(t, mask, encode)
		save(t, filepath.Join(root, "images", "a.jpg"), func(io.Writer) error { return nil })
		d, err := dataset.Open("folder", root)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, _, err := d.FindOOD(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		labels, w, h, err := d.Items[0].Labels()
		if err != nil || w != 16 || h != 8 {
			t.Errorf("%s: %d×%d, %v", name, w, h, err)
		}
		got := make([]uint8, len(labels))
		for i, l := range labels {
			if l == d.OOD {
				got[i] = 1
			}
		}
		if !cmp.Equal(got, want) || d.OOD == dataset.Ignore {
			t.Errorf("%s: anomalous %v (label %d), want %v", name, got, d.OOD, want)
		}
	}
}

func TestFindOOD(t *testing.T) {
	tests := []struct {
		set    string
		masks  [][]uint8
		label  uint8
		found  bool
		labels string
	}{
		{"folder", [][]uint8{{0, 255, 255, 0}, {0, 0, 0, 0}}, 255, true, "0 and 1"},
		{"folder", [][]uint8{{0, 255, 0, 0}, {0, 1, 0, 0}}, 0, false, "0, 1 and 255"},
		{"folder", [][]uint8{{0, 25, 0, 255}}, 25, true, "0, 25 and 255"},
		{"folder", [][]uint8{{100, 200, 100, 100}}, 200, true, "100 and 200"},
		{"folder", [][]uint8{{0, 2, 3, 255}}, 0, false, "0, 2, 3 and 255"},
		{"folder", [][]uint8{{0, 0, 0, 0}}, 0, false, "0"},
		{"roadanomaly21", [][]uint8{{0, 255, 0, 0}}, 0, false, "0 and 255"}, // 255 is the void of that set
	}
	for _, tt := range tests {
		root := t.TempDir()
		for i, pixels := range tt.masks {
			m := image.NewGray(image.Rect(0, 0, 2, 2))
			m.Pix = pixels
			save(t, filepath.Join(root, "labels_masks", fmt.Sprint(i)+".png"), func(w io.Writer) error { return png.Encode(w, m) })
			save(t, filepath.Join(root, "images", fmt.Sprint(i)+".jpg"), func(io.Writer) error { return nil })
		}
		d, err := dataset.Open(tt.set, root)
		if err != nil {
			t.Fatal(err)
		}
		label, found, err := d.FindOOD()
		if err != nil || label != tt.label || found != tt.found {
			t.Errorf("%s %v: FindOOD() = %d, %v, %v; want %d, %v", tt.set, tt.masks, label, found, err, tt.label, tt.found)
		}
		if got, err := d.DescribeLabels(); err != nil || got != tt.labels {
			t.Errorf("%s %v: labels %q, %v; want %q", tt.set, tt.masks, got, err, tt.labels)
		}
	}
}

// Folders as people name them, and MVTec's, whose folders number their images alike.
func TestUsualLayouts(t *testing.T) {
	for _, files := range [][]string{
		{"images/a.jpg", "masks/a.png"},
		{"images/a.jpg", "masks/a_mask.png"},
		{"images/a.png", "ground_truth/a.png"},
		{"imgs/a.png", "gt/a_gt.png"},
		{"img/a.png", "label/a.png", "mask/a.png"},
		{"test/crack/a.png", "ground_truth/crack/a_mask.png", "test/good/b.png"},
	} {
		root := t.TempDir()
		touch(t, root, files...)
		d, err := dataset.Open("folder", root)
		if err != nil {
			t.Errorf("%q: %v", files, err)
			continue
		}
		want := "a"
		if filepath.Dir(files[0]) == "test/crack" {
			want = "crack_a"
		}
		if len(d.Items) != 1 || d.Items[0].Name != want {
			t.Errorf("%q: %+v", files, d.Items)
		}
	}
}

func FuzzImageLabels(f *testing.F) {
	m := image.NewGray(image.Rect(0, 0, 2, 2))
	for _, ext := range []string{".png", ".jpg", ".bmp", ".tif"} {
		path := filepath.Join(f.TempDir(), "m"+ext)
		out, err := os.Create(path)
		if err != nil {
			f.Fatal(err)
		}
		switch ext {
		case ".png":
			err = png.Encode(out, m)
		case ".jpg":
			err = jpeg.Encode(out, m, nil)
		case ".bmp":
			err = bmp.Encode(out, m)
		case ".tif":
			err = tiff.Encode(out, m, nil)
		}
		if err != nil || out.Close() != nil {
			f.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, ext)
	}
	f.Fuzz(func(t *testing.T, raw []byte, ext string) {
		if !dataset.IsMask(ext) || len(ext) > 5 {
			return
		}
		path := filepath.Join(t.TempDir(), "m"+ext)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		labels, w, h, err := dataset.Item{Label: path}.Labels()
		if err == nil && len(labels) != w*h {
			t.Errorf("%d labels for %d×%d", len(labels), w, h)
		}
	})
}
