package opencv

import (
	"errors"
	"fmt"
	"image"
	"runtime"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
)

// maxSide and maxPixels bound what is decoded: a forged header must not allocate gigabytes.
const (
	maxSide   = 16384
	maxPixels = 1 << 26
)

// checkSize returns an error when a picture of w x h pixels is not to be decoded.
func checkSize(w, h int) error {
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide || w*h > maxPixels {
		return fmt.Errorf("%w: %dx%d pixels, want at most %d a side and %d megapixels", ingest.ErrUnreadable, w, h, maxSide,
			maxPixels>>20)
	}
	return nil
}

// toRGBSource returns the picture that copyRGB converts: m itself, or scratch with m scaled to width x height (0 = as
// it is).
func toRGBSource(m, scratch *gocv.Mat, width, height int) (*gocv.Mat, error) {
	w, h := m.Cols(), m.Rows()
	if err := checkSize(w, h); err != nil {
		return nil, err
	}
	if width == 0 || height == 0 || width == w && height == h {
		return m, nil
	}
	interpolation := gocv.InterpolationLinear
	if width < w && height < h {
		interpolation = gocv.InterpolationArea
	}
	gocv.Resize(*m, scratch, image.Pt(width, height), 0, 0, interpolation)
	return scratch, nil
}

// copyRGB writes the picture in m (8 bits; grey, BGR or BGRA) as packed RGB to dst, which has the right size.
func copyRGB(dst []byte, m *gocv.Mat) error {
	var code gocv.ColorConversionCode
	switch m.Type() {
	case gocv.MatTypeCV8UC3:
		code = gocv.ColorBGRToRGB
	case gocv.MatTypeCV8UC1:
		code = gocv.ColorGrayToBGR
	case gocv.MatTypeCV8UC4:
		code = gocv.ColorRGBAToBGR // drops alpha and swaps, whichever way round
	default:
		return fmt.Errorf("pixel format %v, want 8 bits and 1, 3 or 4 channels", m.Type())
	}
	if len(dst) != 3*m.Cols()*m.Rows() {
		return errors.New("the picture does not fit the frame")
	}
	return withMat(m.Rows(), m.Cols(), dst, func(out *gocv.Mat) { gocv.CvtColor(*m, out, code) })
}

// withMat calls f with a Mat over the Go memory pix, which is pinned meanwhile.
func withMat(rows, cols int, pix []byte, f func(*gocv.Mat)) error {
	var pin runtime.Pinner
	pin.Pin(&pix[0])
	defer pin.Unpin()
	m, err := gocv.NewMatFromBytes(rows, cols, gocv.MatTypeCV8UC3, pix)
	if err != nil {
		return fmt.Errorf("wrap pixels: %w", err)
	}
	defer m.Close()
	f(&m)
	return nil
}
