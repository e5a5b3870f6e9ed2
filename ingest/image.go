package ingest

import (
	"image"
	"image/draw"
)

// ImageFrame copies img into a new frame that belongs to no pool; transparent parts become black.
func ImageFrame(img image.Image) *Frame {
	b := img.Bounds()
	f := NewFrame(b.Dx(), b.Dy())
	rgba, ok := img.(*image.RGBA)
	if !ok {
		rgba = image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
		draw.Draw(rgba, rgba.Bounds(), img, b.Min, draw.Src)
	}
	for y := range f.Height {
		src := rgba.Pix[y*rgba.Stride:]
		dst := f.Pix[3*y*f.Width : 3*(y+1)*f.Width]
		for x := range f.Width {
			copy(dst[3*x:3*x+3], src[4*x:4*x+3])
		}
	}
	return f
}

// FrameImage copies the pixels of f into an image. It does not release f.
func FrameImage(f *Frame) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	for i, n := 0, f.Width*f.Height; i < n; i++ {
		copy(img.Pix[4*i:4*i+3], f.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 0xFF
	}
	return img
}
