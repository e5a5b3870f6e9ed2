package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	_ "image/png" // the formats of masks
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"

	"github.com/oodcast/oodcast/detector/npy"
)

var errNoLabel = errors.New("a value is not a label from 0 to 255")

// maskEndings are the endings of the names of masks.
func maskEndings() []string {
	return []string{".png", ".npy", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg"}
}

// IsMask reports whether Item.Labels reads a file of that name.
func IsMask(name string) bool {
	return slices.Contains(maskEndings(), strings.ToLower(filepath.Ext(name)))
}

// Labels reads the mask and returns its width·height labels, row-major. The label of a pixel is its grey value, or its
// index in an image with a palette, as in the data sets' own loaders. A .npy mask is an array [H,W] of integers or booleans.
// A JPEG cannot keep labels exactly: its pixels are 0 or 255.
func (it Item) Labels() (labels []uint8, width, height int, err error) {
	f, err := os.Open(it.Label)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	read := imageLabels
	switch strings.ToLower(filepath.Ext(it.Label)) {
	case ".npy":
		read = npyLabels
	case ".jpg", ".jpeg":
		read = jpegLabels
	}
	if labels, width, height, err = read(f); err != nil {
		return nil, 0, 0, fmt.Errorf("%w %q: %w", ErrLabels, it.Label, err)
	}
	if it.relabel != nil {
		for i, l := range labels {
			labels[i] = it.relabel[l]
		}
	}
	return labels, width, height, nil
}

// relabelTable maps the labels in ood to 1, Ignore to itself, and all others to 0.
func relabelTable(ood []uint8) *[256]uint8 {
	table := &[256]uint8{Ignore: Ignore}
	for _, l := range ood {
		table[l] = 1
	}
	return table
}

// maxMaskPixels bounds the memory that the header of a mask can claim.
const maxMaskPixels = 1 << 28

func imageLabels(f io.ReadSeeker) (labels []uint8, width, height int, err error) {
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, 0, 0, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxMaskPixels/c.Height {
		return nil, 0, 0, fmt.Errorf("%d×%d pixels, want up to %d", c.Width, c.Height, maxMaskPixels)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, 0, 0, err
	}
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, 0, 0, err
	}
	b := img.Bounds()
	width, height = b.Dx(), b.Dy()
	labels = make([]uint8, 0, width*height)
	switch m := img.(type) {
	case *image.Gray:
		for y := range height {
			labels = append(labels, m.Pix[y*m.Stride:][:width]...)
		}
	case *image.Paletted:
		for y := range height {
			labels = append(labels, m.Pix[y*m.Stride:][:width]...)
		}
	case *image.Gray16:
		for i := 0; i < len(m.Pix); i += 2 {
			if m.Pix[i] != 0 && (m.Pix[i] != 255 || m.Pix[i+1] != 255) { // 65535 is the white of a two-valued mask
				return nil, 0, 0, errNoLabel
			}
			labels = append(labels, m.Pix[i+1])
		}
	default: // RGB: accepted if all its pixels are grey
		for y := range height {
			for x := range width {
				c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
				if c.R != c.G || c.R != c.B {
					return nil, 0, 0, fmt.Errorf("the pixel at %d,%d has a colour: want 8-bit labels", x, y)
				}
				labels = append(labels, c.R)
			}
		}
	}
	return labels, width, height, nil
}

// jpegLabels reads a mask of two values, which JPEG has blurred.
func jpegLabels(f io.ReadSeeker) (labels []uint8, width, height int, err error) {
	img, err := jpeg.Decode(f)
	if err != nil {
		return nil, 0, 0, err
	}
	b := img.Bounds()
	labels = make([]uint8, 0, b.Dx()*b.Dy())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			label := uint8(0)
			if color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y >= 128 {
				label = 255
			}
			labels = append(labels, label)
		}
	}
	return labels, b.Dx(), b.Dy(), nil
}

// npyLabels reads an array of little-endian integers of any width, each a label from 0 to 255.
func npyLabels(r io.ReadSeeker) (labels []uint8, width, height int, err error) {
	sizes := map[string]int{"|b1": 1, "|u1": 1, "|i1": 1, "<u2": 2, "<i2": 2, "<u4": 4, "<i4": 4, "<u8": 8, "<i8": 8}
	accept := func(w, h int) error {
		width, height = w, h
		return nil
	}
	err = npy.ReadRows(r, sizes, accept, func(typ string, b []byte) error {
		for value := range slices.Chunk(b, sizes[typ]) {
			if slices.ContainsFunc(value[1:], func(b byte) bool { return b != 0 }) {
				return errNoLabel
			}
			labels = append(labels, value[0])
		}
		return nil
	})
	return labels, width, height, err
}
