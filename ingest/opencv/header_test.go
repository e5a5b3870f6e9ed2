package opencv_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// exif is a TIFF directory with one entry: tag 0x0112 (orientation), a short.
func exif(orientation byte) []byte {
	return append([]byte("MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), orientation, 0, 0, 0, 0, 0, 0)
}

// withOrientation returns the picture file with EXIF data.
func withOrientation(ext string, raw []byte, w, h int, orientation byte) []byte {
	data := exif(orientation)
	switch ext {
	case ".jpg":
		data = append([]byte("Exif\x00\x00"), data...)
		return slices.Insert(bytes.Clone(raw), 2, append([]byte{0xFF, 0xE1, 0, byte(len(data) + 2)}, data...)...)
	case ".png":
		chunk := append([]byte("eXIf"), data...)
		chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk))
		const header = 8 + 25
		return slices.Insert(bytes.Clone(raw), header, append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), chunk...)...)
	case ".webp":
		const exifFlag = 8
		out := append([]byte("WEBPVP8X"), 10, 0, 0, 0, exifFlag, 0, 0, 0, byte(w-1), 0, 0, byte(h-1), 0, 0)
		out = append(out, raw[12:]...)
		out = append(binary.LittleEndian.AppendUint32(append(out, "EXIF"...), uint32(len(data))), data...)
		return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(out))), out...)
	case ".tif":
		return tiff(raw, w, h, orientation)
	}
	return nil
}

// tiff returns an uncompressed TIFF file with the pixels rgb.
func tiff(rgb []byte, w, h int, orientation byte) []byte {
	const entries, entry, short, long = 10, 12, 3, 4
	bits := 8 + 2 + entries*entry + 4
	pixels := bits + 6
	out := append([]byte("II\x2A\x00"), 8, 0, 0, 0, entries, 0)
	for _, e := range [entries][4]int{
		{256, long, 1, w},
		{257, long, 1, h},
		{258, short, 3, bits},
		{259, short, 1, 1},
		{262, short, 1, 2},
		{273, long, 1, pixels},
		{274, short, 1, int(orientation)},
		{277, short, 1, 3},
		{278, long, 1, h},
		{279, long, 1, len(rgb)},
	} {
		out = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(out, uint16(e[0])), uint16(e[1]))
		out = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(out, uint32(e[2])), uint32(e[3]))
	}
	return append(append(out, 0, 0, 0, 0, 8, 0, 8, 0, 8, 0), rgb...)
}

// upright returns where the upright picture of an orientation has the stored pixel at (x, y), as EXIF 2.3 defines it.
func upright(orientation, x, y, w, h int) (int, int) {
	switch orientation {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return h - 1 - y, x
	case 7:
		return h - 1 - y, w - 1 - x
	case 8:
		return y, w - 1 - x
	}
	return x, y
}

// A photograph is turned upright as a film is, in all eight orientations. A reader of data sets leaves it as it is stored.
func TestExifOrientation(t *testing.T) {
	const w, h = 24, 16
	rgb := make([]byte, 3*w*h)
	for i := range w * h { // four corners of different colours
		rgb[3*i], rgb[3*i+1], rgb[3*i+2] = byte(60*(i%w*2/w)+60), byte(100*(i/w*2/h)+50), 90
	}
	for _, ext := range []string{".jpg", ".png", ".webp", ".tif"} {
		raw := rgb
		if ext != ".tif" {
			path := filepath.Join(t.TempDir(), "stored"+ext)
			if err := opencv.WriteImage(path, w, h, rgb); err != nil {
				t.Fatal(err)
			}
			var err error
			if raw, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		for orientation := 1; orientation <= 8; orientation++ {
			t.Run(fmt.Sprint(ext, orientation), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "turned"+ext)
				if err := os.WriteFile(path, withOrientation(ext, raw, w, h, byte(orientation)), 0o600); err != nil {
					t.Fatal(err)
				}
				stored := rgb // OpenCV turns TIFF itself, and always: there the orientation is part of the format
				if ext != ".tif" {
					f, err := opencv.ReadStored(path)
					if err != nil || f.Width != w || f.Height != h {
						t.Fatalf("ReadStored: %v, or not %dx%d", err, w, h)
					}
					stored = f.Pix
				}
				got, err := opencv.ReadImage(path)
				if err != nil {
					t.Fatal(err)
				}
				if ww, hh := w, h; orientation > 4 && (got.Width != hh || got.Height != ww) || orientation < 5 && (got.Width != ww || got.Height != hh) {
					t.Fatalf("%dx%d", got.Width, got.Height)
				}
				for y := range h {
					for x := range w {
						ux, uy := upright(orientation, x, y, w, h)
						a, b := stored[3*(y*w+x):][:3], got.Pix[3*(uy*got.Width+ux):][:3]
						if !bytes.Equal(a, b) || int(a[0])-int(rgb[3*(y*w+x)]) > 30 {
							t.Fatalf("pixel %d,%d: stored %v, upright %v", x, y, a, b)
						}
					}
				}
			})
		}
	}
	checkMats(t)
}

// A file that is no whole picture is an error that says what is wrong with it.
func TestUnreadablePicturesAreNamed(t *testing.T) {
	dir := t.TempDir()
	whole := map[string][]byte{}
	rgb := make([]byte, 3*160*120)
	for i := range rgb {
		rgb[i] = byte(i * i >> 7)
	}
	for _, ext := range []string{".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"} {
		path := filepath.Join(dir, "whole"+ext)
		if err := opencv.WriteImage(path, 160, 120, rgb); err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole[ext] = raw
	}
	half := func(ext string) []byte { return whole[ext][:len(whole[ext])/2] }
	thumbnail := append([]byte("Exif\x00\x00\xFF\xD8\xFF\xD9"), 0)
	cutBehindThumbnail := slices.Insert(bytes.Clone(half(".jpg")), 2,
		append([]byte{0xFF, 0xE1, 0, byte(len(thumbnail) + 2)}, thumbnail...)...)
	box := func(brands string) []byte { return append([]byte{0, 0, 0, 32}, "ftyp"+brands+"        "...) }
	for _, tt := range []struct {
		name string
		file []byte
		has  string
	}{
		{"half.jpg", half(".jpg"), "cut short"},
		{"thumbnail.jpg", cutBehindThumbnail, "cut short"},
		{"without its end.jpg", whole[".jpg"][:len(whole[".jpg"])-2], "cut short"},
		{"half.png", half(".png"), "cannot be decoded"},
		{"half.bmp", half(".bmp"), "cannot be decoded"},
		{"half.webp", half(".webp"), "cannot be decoded"},
		{"half.tif", half(".tif"), "cut short"},
		{"half.ppm", half(".ppm"), "cannot be decoded"},
		{"header.jpg", whole[".jpg"][:20], "cut short"},
		{"empty.jpg", nil, "empty"},
		{"page.jpg", []byte("<html>404</html>"), "does not begin as a picture"},
		{"shifted.jpg", append([]byte{0, 0}, whole[".jpg"]...), "does not begin as a picture"},
		{"phone.jpg", box("heic\x00\x00\x00\x00mif1heic"), "a HEIC picture"},
		{"phone2.jpg", box("mif1\x00\x00\x00\x00heic"), "a HEIF picture"},
		{"web.png", box("avif\x00\x00\x00\x00mif1"), "an AVIF picture"},
		{"moving.webp", []byte("RIFF\x20\x00\x00\x00WEBPVP8X\x0A\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x03\x00\x00"), "an animated WebP"},
		{"gif.png", []byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), "a GIF picture"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := opencv.ReadImage(path)
			if !errors.Is(err, ingest.ErrUnreadable) || !strings.Contains(fmt.Sprint(err), tt.has) || !strings.Contains(fmt.Sprint(err), path) {
				t.Errorf("ReadImage = %v, want %q", err, tt.has)
			}
		})
	}
	trailer := append(bytes.Clone(whole[".jpg"]), "SEFT of a phone"...)
	path := filepath.Join(dir, "trailer.jpg")
	if err := os.WriteFile(path, trailer, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := opencv.ReadImage(path); err != nil {
		t.Errorf("a JPEG with something behind it: %v", err)
	}
}
