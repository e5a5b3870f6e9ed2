package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// GoldenFormula names the picture that GoldenImage draws.
const GoldenFormula = "pixel(x,y,c) = (x·(3+c) + y·(5−c) + ⌊x·y·(c+1)/16⌋) mod 256, c = 0, 1, 2 for red, green, blue"

// Golden is golden.json: a picture given by a formula, and digests of the outputs that the encoder must compute for it.
// It reveals a runtime or an execution provider that computes something else.
type Golden struct {
	Formula string `json:"formula"`
	// Width and Height are the size of the picture; Size is the working size.
	Width  int  `json:"width"`
	Height int  `json:"height"`
	Size   Size `json:"size"`
	// Tolerance is the largest accepted difference, as a share of an output's root mean square.
	Tolerance float64 `json:"tolerance"`
	// Outputs maps the encoder's outputs to their digests.
	Outputs map[string]Digest `json:"outputs"`
}

// Digest summarises a tensor: its shape, its root mean square and every Step-th value.
type Digest struct {
	Shape   []int64   `json:"shape"`
	RMS     float64   `json:"rms"`
	Step    int       `json:"step"`
	Samples []float32 `json:"samples"`
}

// Output is one output of an encoder, row-major.
type Output struct {
	Shape []int64
	Data  []float32
}

// EncodeFunc runs an encoder on a packed RGB picture at a working size and returns its outputs by name.
type EncodeFunc func(rgb []uint8, width, height int, size Size) (map[string]Output, error)

// goldenSamples is about how many values of a large tensor a digest keeps.
const goldenSamples = 64

// GoldenImage draws the picture of GoldenFormula, packed RGB.
func GoldenImage(width, height int) []uint8 {
	pix := make([]uint8, 3*width*height)
	for y := range height {
		for x := range width {
			for c := range 3 {
				pix[3*(y*width+x)+c] = uint8(x*(3+c) + y*(5-c) + x*y*(c+1)/16)
			}
		}
	}
	return pix
}

// NewGolden runs encode on the golden picture at a working size, see [EncoderSpec.GoldenSize], and keeps digests of its
// outputs. The picture has another size, so that the check covers the graph's resizing too.
func NewGolden(encode EncodeFunc, size Size) (*Golden, error) {
	g := &Golden{
		Formula: GoldenFormula, Width: 160, Height: 100, Size: size, Tolerance: 2e-3, Outputs: map[string]Digest{},
	}
	outputs, err := encode(GoldenImage(g.Width, g.Height), g.Width, g.Height, g.Size)
	if err != nil {
		return nil, fmt.Errorf("models: golden: %w", err)
	}
	for name, o := range outputs {
		d := digest(o)
		if math.IsNaN(d.RMS) || math.IsInf(d.RMS, 0) {
			return nil, fmt.Errorf("models: golden: output %q is not finite", name)
		}
		g.Outputs[name] = d
	}
	return g, nil
}

func digest(o Output) Digest {
	d := Digest{Shape: o.Shape, Step: max(1, len(o.Data)/goldenSamples)}
	if d.Step > 1 && d.Step%2 == 0 {
		d.Step++ // an odd step visits all channels of channel-last data
	}
	sum := 0.0
	for i, v := range o.Data {
		sum += float64(v) * float64(v)
		if i%d.Step == 0 {
			d.Samples = append(d.Samples, v)
		}
	}
	d.RMS = math.Sqrt(sum / float64(max(1, len(o.Data))))
	return d
}

// ParseGolden reads golden.json.
func ParseGolden(raw []byte) (*Golden, error) {
	var g Golden
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("%s: %w", GoldenFile, err)
	}
	const most = 4096
	switch {
	case g.Formula != GoldenFormula:
		return nil, fmt.Errorf("%s: unknown formula %q", GoldenFile, g.Formula)
	case g.Width < 1 || g.Height < 1 || g.Width > most || g.Height > most:
		return nil, fmt.Errorf("%s: picture of %d×%d", GoldenFile, g.Width, g.Height)
	case g.Size.Width < 1 || g.Size.Height < 1 || g.Size.Width > most || g.Size.Height > most:
		return nil, fmt.Errorf("%s: working size of %d×%d", GoldenFile, g.Size.Width, g.Size.Height)
	case !(g.Tolerance > 0) || len(g.Outputs) == 0:
		return nil, fmt.Errorf("%s: no tolerance or no outputs", GoldenFile)
	}
	for name, d := range g.Outputs {
		if d.Step < 1 || !(d.RMS >= 0) {
			return nil, fmt.Errorf("%s: output %q has no digest", GoldenFile, name)
		}
	}
	return &g, nil
}

// Marshal writes golden.json.
func (g *Golden) Marshal() ([]byte, error) {
	raw, err := json.MarshalIndent(g, "", " ")
	if err != nil {
		return nil, fmt.Errorf("models: golden: %w", err)
	}
	return append(raw, '\n'), nil
}

// Check runs encode on the golden picture and compares its outputs with the digests. slack multiplies the tolerance: 1
// for the CPU, more for providers that round to fewer digits. Check returns the largest difference, as a share of the
// root mean square.
func (g *Golden) Check(encode EncodeFunc, slack float64) (worst float64, err error) {
	outputs, err := encode(GoldenImage(g.Width, g.Height), g.Width, g.Height, g.Size)
	if err != nil {
		return 0, fmt.Errorf("models: golden: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(g.Outputs)) {
		want := g.Outputs[name]
		got, ok := outputs[name]
		if !ok || !slices.Equal(got.Shape, want.Shape) {
			errs = append(errs, fmt.Errorf("models: golden: output %q has shape %v, want %v", name, got.Shape, want.Shape))
			continue
		}
		d := want.distance(got.Data)
		if !(d <= g.Tolerance*slack) {
			errs = append(errs, fmt.Errorf("models: golden: output %q differs by %.2g of its root mean square, at most %.2g "+
				"is normal: this runtime computes something else", name, d, g.Tolerance*slack))
		}
		worst = max(worst, d)
	}
	return worst, errors.Join(errs...)
}

// distance returns the largest difference in a sample or in the root mean square, as a share of the root mean square.
func (d Digest) distance(data []float32) float64 {
	got := digest(Output{Shape: d.Shape, Data: data})
	if got.Step != d.Step || len(got.Samples) != len(d.Samples) {
		return math.Inf(1)
	}
	scale := max(d.RMS, 1e-12)
	worst := math.Abs(got.RMS-d.RMS) / scale
	for i, v := range got.Samples {
		diff := math.Abs(float64(v)-float64(d.Samples[i])) / scale
		if !(diff <= worst) { // also NaN
			worst = diff
		}
	}
	if math.IsNaN(worst) {
		return math.Inf(1)
	}
	return worst
}

// Golden returns golden.json, or nil without an error if the bundle has none.
func (b *Bundle) Golden() (*Golden, error) {
	if _, ok := b.Files[GoldenFile]; !ok {
		return nil, nil
	}
	raw, err := b.ReadFile(GoldenFile)
	if err != nil {
		return nil, err
	}
	g, err := ParseGolden(raw)
	if err != nil {
		return nil, fmt.Errorf("bundle %q: %w: %w", b.where, ErrCorrupt, err)
	}
	return g, nil
}
