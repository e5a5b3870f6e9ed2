package ort

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models/graph"
)

// Product multiplies matrices on the CPU, on the core of the calling goroutine. It is safe for concurrent use: call it
// from several goroutines to use several cores.
type Product struct {
	session *Session
}

// NewProduct prepares the graph. The caller closes it.
func NewProduct() (*Product, error) {
	g := graph.New(graph.Float32)
	a, b := g.Input("a", graph.Float32, -1, -1), g.Input("b", graph.Float32, -1, -1)
	g.Output(g.Gemm(a, b, nil, graph.GemmOptions{TransB: true}), "product")
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("product: %w", err)
	}
	s, err := NewSession(model, Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("product: %w", err)
	}
	return &Product{session: s}, nil
}

// MultiplyTo stores a·bᵀ in dst: a has m rows of k, b has n rows of k, and dst has m rows of n.
func (p *Product) MultiplyTo(dst, a, b []float32, m, n, k int) (err error) {
	var made []*Tensor
	defer func() {
		for _, t := range made {
			err = errors.Join(err, t.Close())
		}
	}()
	for _, x := range []struct {
		rows, cols int
		data       []float32
	}{{m, k, a}, {n, k, b}, {m, n, dst}} {
		t, err := NewTensor([]int64{int64(x.rows), int64(x.cols)}, x.data)
		if err != nil {
			return fmt.Errorf("product: %w", err)
		}
		made = append(made, t)
	}
	return p.session.Run(made[:2], made[2:])
}

// Close frees the session. It may be called more than once.
func (p *Product) Close() error { return p.session.Close() }
