package nets

import (
	"encoding/binary"

	"github.com/oodcast/oodcast/models/graph"
)

// windows is a division of the h·w tokens of a stage into squares, which may be shifted up and to the left. The grid is
// filled up with places without a token at the bottom and on the right. All depends on the size of the picture, and is
// computed by a few operators on integers when the graph runs.
type windows struct {
	// token is the number of the token at each place of each window, int64[n·w²]; h·w where there is none.
	token *graph.Tensor
	// place is the place of each token in that list, int64[h·w].
	place *graph.Tensor
	// mask [n,1,w²,w²] keeps places of a shifted window from attending to those that came from the opposite side of the grid;
	// nil without a shift.
	mask *graph.Tensor
}

// windowMask is what a mask adds to the logits of attention.
const windowMask = -100

// axis is one side of a grid of windows; all tensors are int64.
type axis struct {
	tokens, windows, places *graph.Tensor // [1]: their numbers
	from                    *graph.Tensor // [places]: the token at a place, before anything is filled up
	to                      *graph.Tensor // [tokens]: the place of a token
	region                  *graph.Tensor // [places]: 0, 1 or 2, see windows.mask
}

func (s *swin) axis(size *graph.Tensor, number int64, shift int) axis {
	g, side := s.g, g64{s.g, int64(s.cfg.Window)}
	a := axis{tokens: g.Slice(size, 0, number, number+1)}
	a.windows = side.div(g.Add(a.tokens, g.Int64s(side.n-1)))
	a.places = side.mul(a.windows)
	at := s.count(a.places)
	a.from = s.modulo(g.Add(at, g.Int64s(int64(shift))), a.places)
	a.to = s.modulo(g.Add(s.count(a.tokens), g.Sub(a.places, g.Int64s(int64(shift)))), a.places)
	a.region = g.Add(g.Div(g.Add(at, g.Int64s(side.n)), a.places), g.Div(g.Add(at, g.Int64s(int64(shift))), a.places))
	return a
}

// g64 is a number that integers of a graph are multiplied with and divided by.
type g64 struct {
	g *graph.Graph
	n int64
}

func (k g64) mul(x *graph.Tensor) *graph.Tensor { return k.g.Mul(x, k.g.Int64s(k.n)) }
func (k g64) div(x *graph.Tensor) *graph.Tensor { return k.g.Div(x, k.g.Int64s(k.n)) }

// windows returns the division of a grid of the given size, int64[2].
func (s *swin) windows(size *graph.Tensor, shift int) windows {
	g, side := s.g, g64{s.g, int64(s.cfg.Window)}
	area := g64{g, side.n * side.n}
	y, x := s.axis(size, 0, shift), s.axis(size, 1, shift)
	// The last token is followed by the one that stands for none: every number beyond it means the same.
	none := g.Mul(y.tokens, x.tokens)
	column := g.Add(x.from, g.Mul(g.Div(x.from, x.tokens), none))
	w := windows{token: s.byWindow(g.Min(g.Add(g.Unsqueeze(g.Mul(y.from, x.tokens), 1), column), none), y, x)}
	rows := g.Add(g.Mul(side.div(y.to), area.mul(x.windows)), side.mul(s.modulo(y.to, g.Int64s(side.n))))
	columns := g.Add(area.mul(side.div(x.to)), s.modulo(x.to, g.Int64s(side.n)))
	w.place = g.Reshape(g.Add(g.Unsqueeze(rows, 1), columns), -1)
	if shift == 0 {
		return w
	}
	region := s.byWindow(g.Add(g.Unsqueeze(g64{g, 3}.mul(y.region), 1), x.region), y, x)
	region = g.Cast(g.Reshape(region, -1, 1, area.n), graph.Float32)
	apart := g.Unary("Abs", g.Sub(g.Unsqueeze(region, 2), g.Unsqueeze(region, 3)))
	w.mask = g.Mul(g.Min(apart, g.Scalar(1)), g.Scalar(windowMask))
	return w
}

// byWindow lists the values of a grid of places window by window.
func (s *swin) byWindow(grid *graph.Tensor, y, x axis) *graph.Tensor {
	g, n := s.g, int64(s.cfg.Window)
	shape := g.Concat(0, y.windows, g.Int64s(n), x.windows, g.Int64s(n))
	grid = g.Node("Reshape", []*graph.Tensor{grid, shape}, []int64{-1, n, -1, n}, graph.Int64)
	return g.Reshape(g.Transpose(grid, 0, 2, 1, 3), -1)
}

// windowed adds attention inside windows to tokens [h·w,C].
func (s *swin) windowed(name string, x *graph.Tensor, w windows, width, heads int) *graph.Tensor {
	g, area := s.g, int64(s.cfg.Window*s.cfg.Window)
	none := g.Const(make([]float32, width), 1, int64(width))
	x = g.Reshape(g.Gather(g.Concat(0, x, none), w.token, 0), -1, area, int64(width))
	part := func(kind string) *graph.Tensor { return s.dense(x, name+"self."+kind, width, width, "") }
	biases := []*graph.Tensor{s.bias(name+"self.relative_position_bias_table", heads)}
	if w.mask != nil {
		biases = append(biases, w.mask)
	}
	y := s.attention(part("query"), part("key"), part("value"), heads, width, biases...)
	y = s.dense(y, name+"output.dense", width, width, "")
	return g.Gather(g.Reshape(y, -1, int64(width)), w.place, 0)
}

// bias returns the learned bias of each head for each pair of places, [1,heads,w²,w²], by their distance on both axes.
func (s *swin) bias(name string, heads int) *graph.Tensor {
	n := s.cfg.Window
	t := s.get(name, false, (2*n-1)*(2*n-1), heads)
	if t == nil {
		return s.g.Fail(nil)
	}
	area := n * n
	if s.index == nil {
		for i := range area {
			for j := range area {
				dy, dx := i/n-j/n+n-1, i%n-j%n+n-1
				s.index = binary.LittleEndian.AppendUint64(s.index, uint64(dy*(2*n-1)+dx))
			}
		}
	}
	table := s.g.Const(t.Data, int64(len(t.Data)/heads), int64(heads))
	pairs := s.g.Gather(table, s.g.ConstRaw(graph.Int64, s.index, int64(area*area)), 0)
	return s.g.Reshape(s.g.Transpose(pairs, 1, 0), 1, int64(heads), int64(area), int64(area))
}

// count returns the integers from 0 to n-1, for n int64[1].
func (e *layers) count(n *graph.Tensor) *graph.Tensor {
	g := e.g
	scalar := func(v byte) *graph.Tensor { return g.ConstRaw(graph.Int64, []byte{v, 0, 0, 0, 0, 0, 0, 0}) }
	n = g.Node("Squeeze", []*graph.Tensor{n, g.Int64s(0)}, nil, graph.Int64)
	return g.Node("Range", []*graph.Tensor{scalar(0), n, scalar(1)}, []int64{-1}, graph.Int64)
}

// modulo returns the remainders of integers.
func (e *layers) modulo(x, n *graph.Tensor) *graph.Tensor {
	return e.g.Node("Mod", []*graph.Tensor{x, n}, x.Shape, graph.Int64)
}
