package detector

import "math"

// The joint bilateral filter of guided upsampling (Kopf et al., Joint Bilateral Upsampling, SIGGRAPH 2007) replaces a cell
// by the mean of the cells around it, weighted by their distance and by the similarity of their colours. Measured in
// docs/ablations.md; quality is flat around these values.
const (
	guideRadius        = 4    // cells
	guideDistanceSigma = 3.0  // deviation of the weight over distance, in cells
	guideColourSigma   = 0.07 // deviation of the weight over the difference of colours, each channel 0 … 1
)

// GuideTo stores the mean colours of a packed RGB picture over a grid of w × h cells in dst, w·h·3 values of 0 … 1, and
// returns it; a short dst is replaced.
func GuideTo(dst []float32, pix []byte, width, height, w, h int) []float32 {
	if len(pix) != 3*width*height || width < 1 || height < 1 || w < 1 || h < 1 {
		panic("detector: guide: sizes do not match")
	}
	dst = grow(dst, 3*w*h)
	sums := make([]uint32, 3*w)
	for y := range h {
		clear(sums)
		y0, y1 := span(y, h, height)
		for row := y0; row < y1; row++ {
			line := pix[3*width*row:][:3*width]
			for x := range w {
				x0, x1 := span(x, w, width)
				var r, g, b uint32
				for p := 3 * x0; p < 3*x1; p += 3 {
					r, g, b = r+uint32(line[p]), g+uint32(line[p+1]), b+uint32(line[p+2])
				}
				sums[3*x], sums[3*x+1], sums[3*x+2] = sums[3*x]+r, sums[3*x+1]+g, sums[3*x+2]+b
			}
		}
		for x := range w {
			x0, x1 := span(x, w, width)
			scale := 1 / (255 * float32((x1-x0)*(y1-y0)))
			for c := range 3 {
				dst[3*(y*w+x)+c] = scale * float32(sums[3*x+c])
			}
		}
	}
	return dst
}

// span returns the range of pixels of cell i of n; at least one pixel if cells are smaller than pixels.
func span(i, n, pixels int) (from, to int) {
	from = i * pixels / n
	return from, max(from+1, (i+1)*pixels/n)
}

// guided filters maps along the colours of a picture. It is not safe for concurrent use.
type guided struct {
	sum, weight  []float32 // reused between frames
	colourWeight []float32 // weight by the squared difference of colours, in steps of colourStep
}

// The table of weights ends where they fall below e⁻⁸. Within a step they change by less than 1 %.
const (
	colourEnd   = 8 * 2 * guideColourSigma * guideColourSigma
	colourSteps = 1024
	colourStep  = colourEnd / colourSteps
)

func newGuided() *guided {
	g := &guided{colourWeight: make([]float32, colourSteps)}
	for i := range g.colourWeight {
		g.colourWeight[i] = float32(math.Exp(-(float64(i) + 0.5) * colourStep / (2 * guideColourSigma * guideColourSigma)))
	}
	return g
}

// filter smooths the map (w × h) in place along the colours of guide (w × h × 3).
func (g *guided) filter(values, guide []float32, w, h int) {
	g.smooth(values, guide, w, h, guideRadius, 1, guideDistanceSigma)
}

// smooth replaces every cell by the weighted mean of the cells at up to radius steps in each direction.
func (g *guided) smooth(values, guide []float32, w, h, radius, step int, sigma float64) {
	if len(values) != w*h || len(guide) != 3*w*h {
		panic("detector: guided filter: sizes do not match")
	}
	g.sum, g.weight = grow(g.sum, w*h), grow(g.weight, w*h)
	copy(g.sum, values)
	for i := range g.weight {
		g.weight[i] = 1
	}
	// Visit every pair of cells once, from the one that comes first in reading order.
	for dy := 0; dy <= radius; dy++ {
		for dx := -radius; dx <= radius; dx++ {
			if dy > 0 || dx > 0 {
				near := math.Exp(-float64(dx*dx+dy*dy) / (2 * sigma * sigma))
				g.pairs(values, guide, w, h, dx*step, dy*step, float32(near))
			}
		}
	}
	for i, v := range g.sum {
		values[i] = v / g.weight[i]
	}
}

// The à-trous filter of the rule sized (Dammertz et al., Edge-Avoiding À-Trous Wavelet Transform, HPG 2010) smooths several
// times with the same few taps, further apart each time. It reaches 14 cells for the price of a radius of 4.
const (
	trousRadius        = 2   // taps
	trousDistanceSigma = 1.5 // deviation of the weight over distance, in taps
)

// trousSteps are the distances between the taps, in cells.
var trousSteps = [...]int{1, 2, 4}

// filterTrous smooths the map (w × h) in place along the colours of guide (w × h × 3), further than filter does.
func (g *guided) filterTrous(values, guide []float32, w, h int) {
	for _, step := range trousSteps {
		g.smooth(values, guide, w, h, trousRadius, step, trousDistanceSigma)
	}
}

// pairs adds every pair of cells at an offset of (dx, dy) to the means of both cells.
func (g *guided) pairs(values, guide []float32, w, h, dx, dy int, near float32) {
	for y := range h - dy {
		for x := max(0, -dx); x < min(w, w-dx); x++ {
			i := y*w + x
			j := i + dy*w + dx
			p, q := guide[3*i:][:3], guide[3*j:][:3]
			r, s, t := p[0]-q[0], p[1]-q[1], p[2]-q[2]
			at := int((r*r + s*s + t*t) * (1 / colourStep))
			if uint(at) >= colourSteps {
				continue
			}
			weight := near * g.colourWeight[at]
			g.sum[i] += weight * values[j]
			g.sum[j] += weight * values[i]
			g.weight[i] += weight
			g.weight[j] += weight
		}
	}
}
