package overlay

import (
	"fmt"
	"image"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// View is the content of one picture.
type View struct {
	Camera string
	Frame  *ingest.Frame // nil: no frame yet
	Map    *detector.Map // nil: no map yet
	Banner string        // drawn large over a darkened picture; empty: none
}

// Renderer composes pictures of a frame, its map and its caption, no wider than a limit and with even sides. It reuses
// its buffers.
type Renderer struct {
	maxWidth int
	scaler   scaler
	layer    *Layer
	text     writer
	rgb      []byte
}

// NewRenderer returns a renderer of pictures that are at most maxWidth pixels wide.
func NewRenderer(maxWidth int) *Renderer { return &Renderer{maxWidth: maxWidth, layer: NewLayer()} }

// Picture returns a frame with its map and its caption, at the frame's own size rounded down to even sides.
func Picture(f *ingest.Frame, m *detector.Map) *image.RGBA {
	rgb, w, h := NewRenderer(f.Width).Render(View{Camera: f.Camera, Frame: f, Map: m})
	return ToRGBA(nil, rgb, w, h)
}

// ToRGBA copies packed RGB into img and returns it; an image of another size, or nil, is replaced by a new one.
func ToRGBA(img *image.RGBA, rgb []byte, w, h int) *image.RGBA {
	if img == nil || img.Rect.Dx() != w || img.Rect.Dy() != h {
		img = image.NewRGBA(image.Rect(0, 0, w, h))
	}
	for i := range w * h {
		o, p := img.Pix[4*i:4*i+4:4*i+4], rgb[3*i:3*i+3:3*i+3]
		o[0], o[1], o[2], o[3] = p[0], p[1], p[2], 255
	}
	return img
}

// Render returns a packed RGB picture and its size. The picture is valid until the next call.
func (r *Renderer) Render(v View) (rgb []byte, w, h int) {
	if v.Frame == nil {
		w, h = fit(640, 360, r.maxWidth)
		r.rgb = grow(r.rgb, 3*w*h)
		for i := range r.rgb {
			r.rgb[i] = 24
		}
	} else {
		w, h = fit(v.Frame.Width, v.Frame.Height, r.maxWidth)
		r.rgb = grow(r.rgb, 3*w*h)
		r.scaler.scale(r.rgb, w, h, v.Frame.Pix, v.Frame.Width, v.Frame.Height)
		if v.Map != nil {
			r.layer.Set(v.Map, w, h)
			r.layer.Blend(r.rgb)
		}
	}
	if v.Banner != "" {
		dim(r.rgb)
		scale := max(w/320, 1)
		r.text.line(r.rgb, w, h, (w-textWidth(len(v.Banner), scale))/2, h/2-8*scale, scale, v.Banner)
	}
	scale := 1
	if w >= 1280 {
		scale = 2
	}
	if text := fitting(captionItems(v), w, scale); text != "" {
		r.text.line(r.rgb, w, h, 0, h-20*scale, scale, text)
	}
	return r.rgb, w, h
}

// fitting joins as many items as fit into a picture of the given width.
func fitting(items []string, width, scale int) string {
	for n := len(items); n > 0; n-- {
		if text := strings.Join(items[:n], "  "); textWidth(len(text), scale) <= width {
			return text
		}
	}
	return ""
}

// captionItems lists camera, capture time, |T|, peak and latency, the most important first.
func captionItems(v View) []string {
	items := []string{v.Camera}
	if v.Frame != nil {
		items = append(items, v.Frame.Captured.Format("15:04:05.000"))
	}
	if v.Map != nil {
		items = append(items,
			fmt.Sprintf("|T|=%d", len(v.Map.Timesteps)),
			fmt.Sprintf("peak %.1f/%.1f", v.Map.Peak, v.Map.Threshold),
			fmt.Sprintf("%d ms", v.Map.Latency.Total.Milliseconds()))
		if v.Frame != nil {
			if behind := v.Frame.Captured.Sub(v.Map.Captured); behind >= 0 && behind < time.Minute {
				items = append(items, fmt.Sprintf("map %d ms old", behind.Milliseconds()))
			}
		}
	}
	return items
}

// dim darkens a packed RGB picture to a third.
func dim(rgb []byte) {
	for i, v := range rgb {
		rgb[i] = v / 3
	}
}
