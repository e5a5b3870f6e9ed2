package fit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// The working size is chosen so that what moves in the footage of a fixed camera is about objectCells tokens high. On UCSD Ped2,
// where people are about 28 pixels high, Lite2's features at stride 16 find more at twice the size than at the size itself.
const (
	objectCells  = 3.5
	mostEnlarged = 4.0  // times
	leastEnlarge = 1.25 // below that the bundle's size stays
	mostPixels   = 1.5  // times those of the bundle's size

	sizeFrames  = 48   // that are looked at
	sizeRead    = 3000 // frames of all footage that are read at most
	sizeSide    = 480  // longer side of the pictures that are compared
	sizeChange  = 24   // levels between a pixel and its median over time from which on something is there
	sizeJoin    = 2    // pixels between the parts of one thing, half of them
	sizeArea    = 4e-4 // smallest thing, as a share of the picture
	sizeThings  = 20   // fewest
	sizeCrowded = 0.3  // share of changed pixels beyond which the camera moves
)

// ChooseSize looks at footage and returns the working size at which what moves in it covers enough tokens; the zero Size if the
// bundle's own size will do, if little moves, or if the camera moves. reason says why a size was chosen. Sources are read at most
// to their end, once.
func ChooseSize(ctx context.Context, sources []ingest.Source, spec models.EncoderSpec) (size models.Size, reason string, err error) {
	c := &sizeChooser{stride: 1}
	for _, s := range sources {
		c.left = sizeRead / len(sources)
		if err := s.Run(ctx, c.frame); err != nil && !errors.Is(err, errEnough) {
			return models.Size{}, "", fmt.Errorf("fit: choose a size: %w", err)
		}
	}
	high := c.height()
	if high <= 0 {
		return models.Size{}, "", nil
	}
	w, h := float64(c.width), float64(c.tall)
	most := mostPixels * float64(spec.Size.Width*spec.Size.Height)
	scale := min(objectCells*float64(spec.Stride)/high, mostEnlarged, math.Sqrt(most/(w*h)))
	if scale < leastEnlarge {
		return models.Size{}, "", nil
	}
	step := float64(spec.SizeMultiple())
	size = models.Size{Width: scaled(int(w), scale, step), Height: scaled(int(h), scale, step)}
	return size, fmt.Sprintf("what moves here is about %.0f of %d pixels high: frames of %dx%d are scored at %dx%d (--size overrides)",
		high, c.tall, c.width, c.tall, size.Width, size.Height), nil
}

var errEnough = errors.New("fit: enough frames")

// sizeChooser keeps small grey pictures, evenly spread over the footage.
type sizeChooser struct {
	width, tall  int // of the frames
	w, h         int // of the pictures
	left, number int
	stride       int
	pictures     [][]uint8
}

func (c *sizeChooser) frame(_ context.Context, f *ingest.Frame) error {
	defer f.Release()
	if c.left--; c.left < 0 {
		return errEnough
	}
	c.number++
	if c.width == 0 {
		c.width, c.tall = f.Width, f.Height
		scale := min(1, sizeSide/float64(max(f.Width, f.Height)))
		c.w, c.h = max(1, int(float64(f.Width)*scale)), max(1, int(float64(f.Height)*scale))
	}
	if c.number%c.stride != 0 || f.Width != c.width || f.Height != c.tall {
		return nil
	}
	grey := make([]uint8, c.w*c.h)
	for i := range grey {
		p := 3 * (i/c.w*f.Height/c.h*f.Width + i%c.w*f.Width/c.w)
		grey[i] = uint8((2*int(f.Pix[p]) + 5*int(f.Pix[p+1]) + int(f.Pix[p+2])) / 8)
	}
	if c.pictures = append(c.pictures, grey); len(c.pictures) == 2*sizeFrames {
		for i := range sizeFrames {
			c.pictures[i] = c.pictures[2*i+1]
		}
		c.pictures, c.stride = c.pictures[:sizeFrames], 2*c.stride
	}
	return nil
}

// height returns the median height of what moves, in pixels of the frames; 0 if little does, or if everything does.
func (c *sizeChooser) height() float64 {
	if len(c.pictures) < sizeFrames/4 {
		return 0
	}
	still := make([]uint8, c.w*c.h)
	values := make([]uint8, len(c.pictures))
	for i := range still {
		for k, p := range c.pictures {
			values[k] = p[i]
		}
		slices.Sort(values)
		still[i] = values[len(values)/2]
	}
	var heights []int
	changed := 0
	for _, p := range c.pictures {
		there := make([]bool, c.w*c.h)
		for i, v := range p {
			if d := int(v) - int(still[i]); d > sizeChange || d < -sizeChange {
				changed++
				c.mark(there, i)
			}
		}
		numbers, sizes := eval.ConnectedComponents(c.w, c.h, func(i int) bool { return there[i] })
		heights = append(heights, componentHeights(numbers, sizes, c.w, int(sizeArea*float64(c.w*c.h)))...)
	}
	if len(heights) < sizeThings || float64(changed) > sizeCrowded*float64(len(c.pictures)*c.w*c.h) {
		return 0
	}
	slices.Sort(heights)
	return float64(heights[len(heights)/2]-2*sizeJoin) * float64(c.tall) / float64(c.h)
}

// mark marks the surroundings of a pixel.
func (c *sizeChooser) mark(there []bool, i int) {
	x, y := i%c.w, i/c.w
	for row := max(0, y-sizeJoin); row <= min(c.h-1, y+sizeJoin); row++ {
		for col := max(0, x-sizeJoin); col <= min(c.w-1, x+sizeJoin); col++ {
			there[row*c.w+col] = true
		}
	}
}

// componentHeights returns the heights of the components of at least so many pixels.
func componentHeights(numbers []int32, sizes []int, w, least int) []int {
	first, last := make([]int, len(sizes)), make([]int, len(sizes))
	for i, n := range numbers {
		if n > 0 {
			if first[n] == 0 {
				first[n] = i/w + 1
			}
			last[n] = i/w + 1
		}
	}
	var heights []int
	for n := 1; n < len(sizes); n++ {
		if sizes[n] >= least {
			heights = append(heights, last[n]-first[n]+1)
		}
	}
	return heights
}
