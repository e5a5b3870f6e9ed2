package nets

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// Projection maps a feature x to Matrix·(x − Shift).
type Projection struct {
	Shift  []float32 // one value per channel
	Matrix []float32 // rows × channels, row-major
}

// Rows returns the number of channels of the result.
func (p Projection) Rows() int { return len(p.Matrix) / max(1, len(p.Shift)) }

// Project returns an encoder whose features are those of model, projected. The other inputs and outputs stay as they are.
//
// The product is an operator of its own behind the features. It cannot become part of the last convolution, because a
// network may add an earlier tensor to that convolution's result (a residual block), or join several levels.
func Project(model []byte, p Projection) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("nets: project: %w", err) }
	front, err := graph.Parse(model)
	if err != nil {
		return fail(err)
	}
	raw, rank, err := takeFeatures(front)
	if err != nil {
		return fail(err)
	}
	g := graph.New(graph.Float32)
	c, n := int64(len(p.Shift)), int64(p.Rows())
	shape := make([]int64, rank)
	for i := range shape {
		shape[i] = -1
	}
	shape[rank-1] = c
	weights, offset := make([]float64, c*n), make([]float64, n)
	for i := range n {
		for j := range c {
			w := float64(p.Matrix[i*c+j])
			weights[j*n+i] = w
			offset[i] -= w * float64(p.Shift[j])
		}
	}
	y := g.MatMul(g.Input("oodcast_raw", graph.Float32, shape...), g.Const64(weights, c, n))
	g.Output(g.Add(y, g.Const64(offset, n)), "features")
	back, err := asModel(g, front.Opsets()[""])
	if err != nil {
		return fail(err)
	}
	m, err := graph.Merge(front, back, map[string]string{raw: "oodcast_raw"})
	if err != nil {
		return fail(err)
	}
	return m.Marshal(), nil
}

// takeFeatures gives the output features of an encoder another name, so that operators behind it can make a new one of it, and
// returns that name with the number of its dimensions.
func takeFeatures(front *graph.Model) (raw string, rank int, err error) {
	var outputs []string
	for _, v := range front.Outputs() {
		outputs = append(outputs, v.Name)
		if v.Name == "features" {
			rank = max(3, len(v.Shape)) // the encoders of Foreign do not state the shape: they take one picture
		}
	}
	if rank == 0 {
		return "", 0, fmt.Errorf("the encoder has no output features, only %q", outputs)
	}
	raw, err = front.Free("features")
	return raw, rank, err
}
