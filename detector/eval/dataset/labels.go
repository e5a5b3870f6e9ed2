package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/oodcast/oodcast/detector/npy"
)

var errNoLabel = errors.New("a value is not a label from 0 to 255")

// Labels reads the mask and returns its width·height labels, row-major. The label of a pixel is its grey value, or its
// index in an image with a palette, as in the data sets' own loaders. A .npy mask is an array [H,W] of integers or booleans.
func (it Item) Labels() (labels []uint8, width, height int, err error) {
	f, err := os.Open(it.Label)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	read := pngLabels
	if filepath.Ext(it.Label) == ".npy" {
		read = npyLabels
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

func pngLabels(r io.Reader) (labels []uint8, width, height int, err error) {
	img, err := png.Decode(r)
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
			if m.Pix[i] != 0 {
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

// npyLabels reads an array of little-endian integers of any width, each a label from 0 to 255.
func npyLabels(r io.Reader) (labels []uint8, width, height int, err error) {
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
