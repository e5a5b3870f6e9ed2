package overlay

import (
	"image"
	"image/color"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"
)

const (
	glyphWidth  = 8
	glyphHeight = 16
)

// writer draws text on packed RGB pictures. Its mask is reused.
type writer struct{ mask *image.Alpha }

// line draws text in a darkened bar with its top left corner at (x, y). Every dot of the font covers scale×scale
// pixels. Text that does not fit is cut off.
func (w *writer) line(rgb []byte, width, height, x, y, scale int, text string) {
	n := len(text)
	if w.mask == nil || w.mask.Rect.Dx() < n*glyphWidth {
		w.mask = image.NewAlpha(image.Rect(0, 0, n*glyphWidth, glyphHeight))
	}
	clear(w.mask.Pix)
	d := font.Drawer{
		Dst: w.mask, Src: image.NewUniform(color.Alpha{255}), Face: inconsolata.Bold8x16, Dot: fixed.P(0, 12),
	}
	d.DrawString(text)
	pad := 4 * scale
	bar := image.Rect(x, y, x+n*glyphWidth*scale+2*pad, y+glyphHeight*scale+pad).Intersect(image.Rect(0, 0, width, height))
	for py := bar.Min.Y; py < bar.Max.Y; py++ {
		for px := bar.Min.X; px < bar.Max.X; px++ {
			o := rgb[3*(width*py+px):][:3:3]
			mx, my := (px-x-pad)/scale, (py-y-pad/2)/scale
			if px >= x+pad && py >= y+pad/2 && mx < n*glyphWidth && my < glyphHeight && w.mask.Pix[my*w.mask.Stride+mx] > 127 {
				o[0], o[1], o[2] = 245, 245, 245
				continue
			}
			o[0], o[1], o[2] = o[0]/3, o[1]/3, o[2]/3
		}
	}
}

// textWidth returns the width of n characters drawn by line.
func textWidth(n, scale int) int { return (n*glyphWidth + 8) * scale }
