package eval

import (
	"cmp"
	"slices"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// Panel is one image of a row at a size that suits a page.
type Panel struct {
	Place         string // "best", "median" or "worst" by AP
	Image         ImageResult
	Path          string // of the picture
	Width, Height int
	Labels        []uint8   // Height × Width: 1 if any pixel is anomalous, dataset.Ignore if none counts, else 0
	Scores        []float32 // Height × Width: means
}

// panelWidth is the greatest width of a panel in pixels.
const panelWidth = 480

// places maps the indices of the images with the best, the median and the worst AP to these words. It returns fewer if
// fewer images have an AP.
func places(images []ImageResult) map[int]string {
	var order []int
	for i, im := range images {
		if im.AP != nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(*images[b].AP, *images[a].AP) })
	chosen := map[int]string{}
	if n := len(order); n > 0 {
		chosen[order[n/2]] = "median"
		chosen[order[n-1]] = "worst"
		chosen[order[0]] = "best"
	}
	return chosen
}

// newPanel shrinks a visited image by an integer factor.
func newPanel(x *dataset.Labelled, ood uint8, place string, image ImageResult) Panel {
	step := (x.Width + panelWidth - 1) / panelWidth
	p := Panel{
		Place: place, Image: image, Path: x.Item.Image,
		Width: max(1, x.Width/step), Height: max(1, x.Height/step),
	}
	p.Labels, p.Scores = make([]uint8, p.Width*p.Height), make([]float32, p.Width*p.Height)
	for i := range p.Labels {
		x0, y0 := i%p.Width*step, i/p.Width*step
		sum, finite, n, anomalous := float32(0), 0, 0, false
		for y := y0; y < min(y0+step, x.Height); y++ {
			for at := y*x.Width + x0; at < y*x.Width+min(x0+step, x.Width); at++ {
				anomalous = anomalous || x.Labels[at] == ood
				if x.Labels[at] != dataset.Ignore {
					n++
				}
				if s := x.Scores[at]; s-s == 0 { // pixels that do not count may be NaN or infinite
					sum += s
					finite++
				}
			}
		}
		p.Scores[i] = sum / float32(max(1, finite))
		switch {
		case anomalous:
			p.Labels[i] = 1
		case n == 0:
			p.Labels[i] = dataset.Ignore
		}
	}
	return p
}
