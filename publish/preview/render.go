package preview

import (
	"fmt"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// view is what one picture of the preview shows.
type view struct {
	camera string
	frame  *ingest.Frame // nil: no frame yet
	m      *detector.Map // nil: no map yet
	banner string        // drawn large over a darkened picture; empty: none
	now    time.Time
}

// renderer composes pictures. Its buffers are reused: it is not safe for concurrent use, and a picture is valid until
// the next one.
type renderer struct {
	maxWidth int
	scaler   scaler
	layer    *layer
	text     writer
	rgb      []byte
}

func newRenderer(maxWidth int) *renderer { return &renderer{maxWidth: maxWidth, layer: newLayer()} }

// render returns a packed RGB picture and its size.
func (r *renderer) render(v view) (rgb []byte, w, h int) {
	if v.frame == nil {
		w, h = fit(640, 360, r.maxWidth)
		r.rgb = grow(r.rgb, 3*w*h)
		for i := range r.rgb {
			r.rgb[i] = 24
		}
	} else {
		w, h = fit(v.frame.Width, v.frame.Height, r.maxWidth)
		r.rgb = grow(r.rgb, 3*w*h)
		r.scaler.scale(r.rgb, w, h, v.frame.Pix, v.frame.Width, v.frame.Height)
		if v.m != nil {
			r.layer.set(v.m, w, h)
			r.layer.blend(r.rgb)
		}
	}
	if v.banner != "" {
		dim(r.rgb)
		scale := max(w/320, 1)
		r.text.line(r.rgb, w, h, (w-textWidth(len(v.banner), scale))/2, h/2-8*scale, scale, v.banner)
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

// captionItems names camera, capture clock, |T|, peak and latency.
func captionItems(v view) []string {
	items := []string{v.camera}
	if v.frame != nil {
		items = append(items, v.frame.Captured.Format("15:04:05.000"))
	}
	if v.m != nil {
		items = append(items,
			fmt.Sprintf("|T|=%d", len(v.m.Timesteps)),
			fmt.Sprintf("peak %.1f/%.1f", v.m.Peak, v.m.Threshold),
			fmt.Sprintf("%d ms", v.m.Latency.Total.Milliseconds()))
		if v.frame != nil {
			if behind := v.frame.Captured.Sub(v.m.Captured); behind >= 0 && behind < time.Minute {
				items = append(items, fmt.Sprintf("map %d ms old", behind.Milliseconds()))
			}
		}
	}
	return items
}

// bannerFor says in large letters why nothing moves, or nothing when all is well.
func bannerFor(st schema.Status, haveFrame bool) string {
	switch {
	case st.State == schema.StateEnded:
		return "ENDED"
	case st.State == schema.StateDown, st.State == schema.StateStalled:
		return "NO SIGNAL"
	case !haveFrame:
		return "WAITING"
	default:
		return ""
	}
}
