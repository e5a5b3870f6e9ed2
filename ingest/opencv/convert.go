package opencv

import (
	"errors"
	"fmt"
	"image"
	"runtime"

	"gocv.io/x/gocv"
)

// Scale writes src, a picture of packed RGB pixels, to dst in another size.
func Scale(dst []byte, width, height int, src []byte, srcWidth, srcHeight int) error {
	return withMat(srcHeight, srcWidth, src, func(from gocv.Mat) error {
		return withMat(height, width, dst, func(to gocv.Mat) error {
			scale(from, &to, width, height)
			return nil
		})
	})
}

// scale stores src in dst with width x height pixels. It averages when both sides shrink, and interpolates otherwise.
func scale(src gocv.Mat, dst *gocv.Mat, width, height int) {
	interpolation := gocv.InterpolationLinear
	if width < src.Cols() && height < src.Rows() {
		interpolation = gocv.InterpolationArea
	}
	gocv.Resize(src, dst, image.Pt(width, height), 0, 0, interpolation)
}

// copyRGB writes the picture in m, which has 8 bits and is grey, BGR or BGRA, to dst as packed RGB.
func copyRGB(dst []byte, m gocv.Mat) error {
	var code gocv.ColorConversionCode
	switch m.Type() {
	case gocv.MatTypeCV8UC3:
		code = gocv.ColorBGRToRGB
	case gocv.MatTypeCV8UC1:
		code = gocv.ColorGrayToBGR
	case gocv.MatTypeCV8UC4:
		code = gocv.ColorRGBAToBGR // drops alpha and swaps red and blue, in either direction
	default:
		return fmt.Errorf("pixel format %v, want 8 bits and 1, 3 or 4 channels", m.Type())
	}
	return withMat(m.Rows(), m.Cols(), dst, func(out gocv.Mat) error {
		gocv.CvtColor(m, &out, code)
		return nil
	})
}

// withMat calls f with a Mat over the Go memory pix, which stays pinned until f returns.
func withMat(rows, cols int, pix []byte, f func(gocv.Mat) error) error {
	if len(pix) == 0 || len(pix) != 3*rows*cols {
		return errors.New("the picture does not fit the frame")
	}
	var pin runtime.Pinner
	pin.Pin(&pix[0])
	defer pin.Unpin()
	m, err := gocv.NewMatFromBytes(rows, cols, gocv.MatTypeCV8UC3, pix)
	if err != nil {
		return fmt.Errorf("wrap pixels: %w", err)
	}
	defer m.Close()
	return f(m)
}
