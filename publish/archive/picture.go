package archive

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"

	"golang.org/x/image/draw"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/overlay"
)

// MapScale turns the grey values of a map's picture back into scores: min + grey · (max - min) / 65535.
type MapScale struct {
	File  string  `json:"file"`
	Min   float32 `json:"value_min"`
	Max   float32 `json:"value_max"`
	Peak  float32 `json:"peak"`
	Width int     `json:"width"`
	Rows  int     `json:"height"`
}

const (
	pictureQuality = 90
	thumbWidth     = 192
	thumbHeight    = 108
)

func toJPEG(img image.Image, quality int) ([]byte, error) {
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("compress picture: %w", err)
	}
	return out.Bytes(), nil
}

// mapPNG returns a 16-bit grey picture of a map on its own grid.
func mapPNG(m *detector.Map) ([]byte, MapScale, error) {
	img, lo, hi := overlay.Grey(m)
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, MapScale{}, fmt.Errorf("compress map: %w", err)
	}
	return out.Bytes(), MapScale{Min: lo, Max: hi, Peak: m.Peak, Width: m.Width, Rows: m.Height}, nil
}

// thumb returns the surroundings of a region: twice its size, and at least a third of the picture.
func thumb(img image.Image, box events.Box) *image.RGBA {
	size := img.Bounds().Size()
	pw, ph := float64(size.X), float64(size.Y)
	h := max(2*box.Height*ph, 2*box.Width*pw*thumbHeight/thumbWidth, ph/3)
	h = min(h, ph, pw*thumbHeight/thumbWidth)
	w := h * thumbWidth / thumbHeight
	x := min(max((box.X+box.Width/2)*pw-w/2, 0), pw-w)
	y := min(max((box.Y+box.Height/2)*ph-h/2, 0), ph-h)
	part := image.Rect(int(x), int(y), int(x+w), int(y+h)).Intersect(image.Rect(0, 0, size.X, size.Y))
	out := image.NewRGBA(image.Rect(0, 0, thumbWidth, thumbHeight))
	draw.ApproxBiLinear.Scale(out, out.Rect, img, part.Add(img.Bounds().Min), draw.Src, nil)
	return out
}
