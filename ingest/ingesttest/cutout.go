package ingesttest

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"path/filepath"

	"golang.org/x/image/draw"
	"golang.org/x/image/vector"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// Cutout is an object cut out of a photograph: the pixels outside its outline are transparent.
type Cutout struct {
	Name string
	// Picture is cropped to the object. Its alpha is not premultiplied, and soft at the outline.
	Picture *image.NRGBA
}

// outline is a photograph and the outline of an object in it, in units of 1/448 of its width and height.
type outline struct {
	name, file string
	points     []float32 // x, y, x, y, …
}

func outlines() []outline {
	return []outline{
		{"apple", "apple.jpg", []float32{
			180, 50, 120, 55, 70, 90, 42, 150, 40, 220, 60, 310, 90, 380, 120, 425, 180, 432, 230, 430, 275, 433, 320, 405,
			355, 345, 385, 280, 403, 200, 398, 140, 370, 95, 320, 65, 250, 48, 205, 52, 190, 10, 172, 8, 178, 40,
		}},
		{"orange", "orange.jpg", ellipse(218, 241, 184, 192)},
		{"butterfly", "butterfly.jpg", []float32{
			208, 98, 196, 125, 190, 138, 150, 145, 90, 170, 40, 210, 10, 255, 8, 285, 40, 305, 90, 325, 120, 355, 150, 362,
			172, 390, 180, 360, 208, 350, 230, 362, 262, 385, 285, 388, 300, 360, 330, 335, 370, 305, 410, 288, 435, 268,
			438, 240, 410, 195, 360, 155, 300, 132, 230, 130, 225, 110,
		}},
		{"squirrel", "squirrel_cls.jpg", []float32{
			200, 118, 175, 125, 160, 160, 165, 190, 135, 225, 115, 265, 120, 310, 140, 350, 175, 382, 205, 370, 235, 335,
			245, 290, 272, 265, 300, 255, 285, 232, 262, 235, 275, 225, 298, 195, 285, 170, 255, 150, 240, 135, 225, 135,
			222, 160, 215, 130,
		}},
		{"dog", "chicky_512.png", []float32{
			190, 30, 130, 45, 105, 100, 85, 160, 100, 210, 130, 215, 140, 260, 180, 300, 230, 300, 270, 265, 320, 230,
			380, 240, 420, 190, 410, 130, 370, 90, 310, 55, 250, 40,
		}},
		{"box", "box.png", []float32{8, 8, 440, 20, 440, 440, 4, 438}},
	}
}

// ObjectNames returns the names of the objects that Cutouts reads.
func ObjectNames() []string {
	var names []string
	for _, o := range outlines() {
		names = append(names, o.name)
	}
	return names
}

// Cutouts reads the objects from the photographs of Debian's package opencv-doc.
func Cutouts() (map[string]Cutout, error) {
	cut := map[string]Cutout{}
	for _, o := range outlines() {
		f, err := opencv.ReadImage(filepath.Join(Photographs, o.file))
		if err != nil {
			return nil, fmt.Errorf("cut out %s: %w: \"make deps\" installs opencv-doc", o.name, err)
		}
		cut[o.name] = Cutout{o.name, o.cut(ingest.FrameImage(f))}
	}
	return cut, nil
}

func (o outline) cut(photo *image.RGBA) *image.NRGBA {
	b := photo.Bounds()
	sx, sy := float32(b.Dx())/448, float32(b.Dy())/448
	raster := vector.NewRasterizer(b.Dx(), b.Dy())
	box := image.Rectangle{Min: b.Max}
	for i := 0; i < len(o.points); i += 2 {
		x, y := o.points[i]*sx, o.points[i+1]*sy
		if i == 0 {
			raster.MoveTo(x, y)
		} else {
			raster.LineTo(x, y)
		}
		at := image.Pt(int(x), int(y))
		box = image.Rectangle{
			Min: image.Pt(min(box.Min.X, at.X), min(box.Min.Y, at.Y)),
			Max: image.Pt(max(box.Max.X, at.X+1), max(box.Max.Y, at.Y+1)),
		}
	}
	raster.ClosePath()
	mask := image.NewAlpha(b)
	raster.Draw(mask, b, image.Opaque, image.Point{})
	box = box.Intersect(b)
	out := image.NewNRGBA(image.Rect(0, 0, box.Dx(), box.Dy()))
	for y := range box.Dy() {
		for x := range box.Dx() {
			c := photo.RGBAAt(box.Min.X+x, box.Min.Y+y)
			out.SetNRGBA(x, y, color.NRGBA{c.R, c.G, c.B, mask.AlphaAt(box.Min.X+x, box.Min.Y+y).A})
		}
	}
	return out
}

// Scaled returns the object scaled to a height of h pixels.
func (c Cutout) Scaled(h int) *image.NRGBA {
	b := c.Picture.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, max(b.Dx()*h/b.Dy(), 1), h))
	draw.CatmullRom.Scale(out, out.Bounds(), c.Picture, b, draw.Src, nil)
	return out
}

func ellipse(cx, cy, rx, ry float64) []float32 {
	const corners = 64
	var points []float32
	for i := range corners {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / corners)
		points = append(points, float32(cx+rx*cos), float32(cy+ry*sin))
	}
	return points
}

func (c Cutout) String() string { return fmt.Sprintf("%s %v", c.Name, c.Picture.Bounds().Size()) }
