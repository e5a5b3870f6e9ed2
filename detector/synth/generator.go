package synth

import (
	"image"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/image/draw"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// The labels of a pasted picture.
const (
	Normal    = 0
	Anomalous = 1
	Blended   = dataset.Ignore
)

// LeastSide is the smallest side of a picture that things are pasted into.
const LeastSide = 16

// Opacities up to edgeLow leave a pixel normal, and from edgeHigh on make it anomalous; those between are blended.
const (
	edgeLow  = 0.02
	edgeHigh = 0.95
)

// Object is a cut-out. The pixels around the object are transparent.
type Object struct {
	Name    string
	Picture *image.NRGBA
}

// Thing is something that was pasted into a picture.
type Thing struct {
	Kind   Kind   `json:"kind"`
	Object string `json:"object,omitempty"` // name of the cut-out; "" for a shape
	X      int    `json:"x"`                // box in pixels of the picture
	Y      int    `json:"y"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// Generator pastes things into pictures. It is safe for concurrent use.
type Generator struct {
	cfg     Config
	objects []Object
}

// New returns a generator. Without objects, objects are shapes drawn by formula.
func New(cfg Config, objects []Object) (*Generator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Generator{cfg: cfg, objects: objects}, nil
}

// Paste pastes things into picture number i, packed RGB pixels of width × height, and returns a label for each pixel and the
// list of things. With a nil rgb it only returns these: they do not depend on the pixels. A picture with a side below
// LeastSide stays as it is.
func (g *Generator) Paste(rgb []byte, width, height, i int) ([]uint8, []Thing) {
	r := rand.New(rand.NewPCG(g.cfg.Seed, uint64(i)))
	labels := make([]uint8, width*height)
	if min(width, height) < LeastSide {
		return labels, nil
	}
	things := make([]Thing, 1+r.IntN(g.cfg.Most))
	for k := range things {
		look := rand.New(rand.NewPCG(r.Uint64(), 1)) // of the pixels alone
		t, alpha, object := g.thing(r, width, height)
		things[k] = t
		label(labels, width, t, alpha)
		if rgb != nil {
			frame := view{rgb, width, height}
			frame.blend(t, alpha, g.pixels(look, frame, t, alpha, object))
		}
	}
	return labels, things
}

// thing draws what is pasted, and where.
func (g *Generator) thing(r *rand.Rand, width, height int) (t Thing, alpha *alphaMap, object *image.NRGBA) {
	t.Kind = g.kind(r)
	longest := min(g.cfg.MaxSize, 2*min(width, height)/5)
	shortest := min(g.cfg.MinSize, longest)
	side := int(math.Round(float64(shortest) * math.Pow(float64(longest)/float64(shortest), r.Float64())))
	side = max(side, 4)
	if t.Kind == KindObject && len(g.objects) > 0 {
		o := g.objects[r.IntN(len(g.objects))]
		t.Object = o.Name
		object = scaled(o.Picture, side, r.IntN(2) == 1)
		alpha = opacity(object, side)
	} else {
		alpha = shape(r, side)
	}
	t.Width, t.Height = alpha.width, alpha.height
	t.X, t.Y = r.IntN(max(1, width-t.Width+1)), r.IntN(max(1, height-t.Height+1))
	return t, alpha, object
}

func (g *Generator) kind(r *rand.Rand) Kind {
	others := slices.DeleteFunc(slices.Clone(g.cfg.Kinds), func(k Kind) bool { return k == KindObject })
	if len(others) == 0 || len(others) < len(g.cfg.Kinds) && r.IntN(2) == 0 {
		return KindObject
	}
	return others[r.IntN(len(others))]
}

// scaled returns the object with a longer side of the given number of pixels, mirrored on request.
func scaled(o *image.NRGBA, side int, mirror bool) *image.NRGBA {
	b := o.Bounds()
	f := float64(side) / float64(max(b.Dx(), b.Dy()))
	w, h := max(3, int(math.Round(f*float64(b.Dx())))), max(3, int(math.Round(f*float64(b.Dy()))))
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(out, out.Rect, o, b, draw.Src, nil)
	if mirror {
		for y := range h {
			row := out.Pix[y*out.Stride:][:4*w]
			for x := range w / 2 {
				for c := range 4 {
					row[4*x+c], row[4*(w-1-x)+c] = row[4*(w-1-x)+c], row[4*x+c]
				}
			}
		}
	}
	return out
}

// opacity returns the alpha of an object, softened by the width of a blended edge.
func opacity(o *image.NRGBA, side int) *alphaMap {
	a := newAlphaMap(o.Rect.Dx(), o.Rect.Dy())
	for i := range a.v {
		a.v[i] = float32(o.Pix[4*i+3]) / 255
	}
	for range int(featherOf(side)) {
		a.soften()
	}
	return a
}

// soften lowers each opacity to the mean of its neighbourhood: edges blend inwards and nothing grows.
func (a *alphaMap) soften() {
	src := slices.Clone(a.v)
	at := func(x, y int) float32 {
		if x < 0 || y < 0 || x >= a.width || y >= a.height {
			return 0
		}
		return src[y*a.width+x]
	}
	for i, v := range src {
		x, y := i%a.width, i/a.width
		sum := float32(0)
		for dy := -1; dy <= 1; dy++ {
			for dx := -1; dx <= 1; dx++ {
				sum += at(x+dx, y+dy)
			}
		}
		a.v[i] = min(v, sum/9)
	}
}

// label marks the pixels of a thing.
func label(labels []uint8, width int, t Thing, alpha *alphaMap) {
	for i, v := range alpha.v {
		at := (t.Y+i/t.Width)*width + t.X + i%t.Width
		switch {
		case v >= edgeHigh:
			labels[at] = Anomalous
		case v > edgeLow && labels[at] != Anomalous:
			labels[at] = Blended
		}
	}
}
