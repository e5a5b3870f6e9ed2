package graph_test

import (
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// A layer of two outputs with its gradient, as one model.
func ExampleGraph_Backward() {
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, -1, 3)
	w := g.Input("w", graph.Float32, 2, 3)
	dy := g.Input("dy", graph.Float32, -1, 2)
	y := g.SiLU(g.Linear(x, w, nil))
	grads := g.Backward(map[*graph.Tensor]*graph.Tensor{y: dy}, []*graph.Tensor{w})
	g.Output(y, "y")
	g.Output(grads[0], "dw")
	model, err := g.Marshal()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := graph.Parse(model)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range m.Outputs() {
		fmt.Println(o.Name, o.DType, o.Shape)
	}
	// Output:
	// y float [-1 2]
	// dw float [2 3]
}

// Any tensor inside a model can become an output.
func ExampleModel_Tap() {
	g := graph.New(graph.Float32)
	x := g.Input("image", graph.Float32, 1, 4)
	keys := g.Linear(x, g.Const(make([]float32, 8), 2, 4), nil)
	g.Output(g.SiLU(keys), "logits")
	model, err := g.Marshal()
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := graph.Parse(model)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := m.Tap(keys.Name); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(m.Outputs()), "outputs")
	fmt.Println(m.Tap("missing"))
	// Output:
	// 2 outputs
	// graph: no operator of the model makes a tensor "missing"
}
