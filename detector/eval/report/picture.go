package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/ingest"
)

// gallery shows the best, the median and the worst image of a method.
type gallery struct {
	Name   string
	Colour int
	AP     float64
	Shots  []shot
}

// shot is one image: the picture, its truth and its map, as data URIs.
type shot struct {
	Place             string
	Name              string
	AP                *float64
	Photo, Truth, Map template.URL
	Width, Height     int
}

func (m best) shots(read func(path string) (*ingest.Frame, error)) ([]shot, error) {
	shots := make([]shot, 0, len(m.Panels))
	for _, p := range m.Panels {
		s := shot{Place: p.Place, Name: p.Image.Name, AP: p.Image.AP, Width: p.Width, Height: p.Height}
		f, err := read(p.Path)
		if err != nil {
			return nil, err
		}
		photo := shrink(f, p.Width, p.Height)
		f.Release()
		if s.Photo, err = jpegURI(photo); err != nil {
			return nil, err
		}
		if s.Map, err = jpegURI(colourMap(p, m.Histogram.Low, m.Histogram.High)); err != nil {
			return nil, err
		}
		if s.Truth, err = pngURI(truth(p)); err != nil {
			return nil, err
		}
		shots = append(shots, s)
	}
	return shots, nil
}

// shrink scales f down; each pixel of the result is the mean of the pixels that it covers.
func shrink(f *ingest.Frame, width, height int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		y0, y1 := y*f.Height/height, max((y+1)*f.Height/height, y*f.Height/height+1)
		for x := range width {
			x0, x1 := x*f.Width/width, max((x+1)*f.Width/width, x*f.Width/width+1)
			var sum [3]int
			for sy := y0; sy < y1; sy++ {
				for at := 3 * (sy*f.Width + x0); at < 3*(sy*f.Width+x1); at += 3 {
					sum[0] += int(f.Pix[at])
					sum[1] += int(f.Pix[at+1])
					sum[2] += int(f.Pix[at+2])
				}
			}
			n := (y1 - y0) * (x1 - x0)
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255})
		}
	}
	return out
}

// truth paints anomalous pixels red, pixels that do not count grey, and all others dark.
func truth(p eval.Panel) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, p.Width, p.Height), color.Palette{
		color.RGBA{24, 28, 38, 255}, color.RGBA{240, 82, 72, 255}, color.RGBA{104, 110, 122, 255},
	})
	for i, l := range p.Labels {
		switch l {
		case 1:
			out.Pix[i] = 1
		case dataset.Ignore:
			out.Pix[i] = 2
		}
	}
	return out
}

// colourMap paints scores from dark at low to bright at high.
func colourMap(p eval.Panel, low, high float32) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i, s := range p.Scores {
		v := float32(0.5)
		if high > low {
			v = min(max((s-low)/(high-low), 0), 1)
		}
		out.SetRGBA(i%p.Width, i/p.Width, inferno(float64(v)))
	}
	return out
}

// inferno interpolates between ten colours of matplotlib's colour map of that name (CC0), whose lightness grows evenly.
func inferno(v float64) color.RGBA {
	stops := [...][3]float64{
		{0, 0, 4},
		{27, 12, 65},
		{74, 12, 107},
		{120, 28, 109},
		{165, 44, 96},
		{207, 68, 70},
		{237, 105, 37},
		{251, 155, 6},
		{247, 209, 61},
		{252, 255, 164},
	}
	at := v * float64(len(stops)-1)
	i := min(int(at), len(stops)-2)
	w := at - float64(i)
	mix := func(k int) uint8 { return uint8(stops[i][k]*(1-w) + stops[i+1][k]*w + 0.5) }
	return color.RGBA{mix(0), mix(1), mix(2), 255}
}

func jpegURI(m image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 82}); err != nil {
		return "", fmt.Errorf("encode picture: %w", err)
	}
	return dataURI("image/jpeg", b.Bytes()), nil
}

func pngURI(m image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return "", fmt.Errorf("encode picture: %w", err)
	}
	return dataURI("image/png", b.Bytes()), nil
}

func dataURI(mime string, b []byte) template.URL {
	return template.URL("data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(b)) //nolint:gosec // our own bytes
}
