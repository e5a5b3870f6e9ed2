package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Tensor is a value in a graph: an input, a constant, or what an operator returns. Read its fields, never change them.
type Tensor struct {
	Name  string
	Shape []int64 // -1 is a dimension that is known only when the model runs
	DType DType

	source source
}

type source uint8

const (
	fromNode source = iota
	fromInput
	fromConst
)

// Size returns the number of elements, or -1 when a dimension is unknown.
func (t *Tensor) Size() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		if d < 0 {
			return -1
		}
		n *= d
	}
	return n
}

// Spec is the type and shape of an operator's result.
type Spec struct {
	DType DType
	Shape []int64
}

type node struct {
	name, op, domain string
	ins, outs        []*Tensor
	attrs            []Attr
}

type initialiser struct {
	tensor       *Tensor
	raw          []byte // nil: in the graph's file
	offset, size int64  // there
}

// Graph is an ONNX model under construction. It is not safe for concurrent use.
type Graph struct {
	dtype   DType
	nodes   []node
	inits   []initialiser
	inputs  []*Tensor
	outputs []*Tensor
	names   map[string]bool
	consts  map[[sha256.Size]byte]*Tensor
	domains []string
	tape    []record
	count   int
	beside  *gathering // of large constants; nil: they stay in the graph
	err     error
}

// Option changes how a graph is built.
type Option func(*Graph)

// Beside has a graph write the data of large constants to w at once and forget it. The model then finds it in a file of the
// given name, which holds what w got; [InlineTo] makes of both the model that the graph would have written without the option.
func Beside(w io.Writer, file string) Option {
	return func(g *Graph) { g.beside = &gathering{w: w, file: file} }
}

// New returns an empty graph. Its floating-point constants have type dt: [Float32], or [Float64] to check gradients.
func New(dt DType, opts ...Option) *Graph {
	g := &Graph{dtype: dt, names: map[string]bool{}, consts: map[[sha256.Size]byte]*Tensor{}}
	for _, o := range opts {
		o(g)
	}
	if dt != Float32 && dt != Float64 {
		g.fail("graph of %v: only float and double graphs can be built", dt)
	}
	return g
}

// DType returns the floating-point type of the graph's constants.
func (g *Graph) DType() DType { return g.dtype }

// Err returns the first mistake made while building, or nil.
func (g *Graph) Err() error { return g.err }

// Fail records a mistake found by a function that builds on this package, unless there already is one. It returns an
// empty tensor.
func (g *Graph) Fail(err error) *Tensor {
	if g.err == nil {
		g.err = err
	}
	return &Tensor{DType: g.dtype}
}

func (g *Graph) fail(format string, args ...any) *Tensor {
	return g.Fail(fmt.Errorf("graph: "+format, args...))
}

// Input declares an input of the model.
func (g *Graph) Input(name string, dt DType, shape ...int64) *Tensor {
	if g.err != nil {
		return g.Fail(nil)
	}
	if err := g.claim(name); err != nil {
		return g.Fail(err)
	}
	t := &Tensor{Name: name, Shape: slices.Clone(shape), DType: dt, source: fromInput}
	g.inputs = append(g.inputs, t)
	return t
}

// Output makes t an output of the model under the given name. The result of an operator is renamed; an input, a constant
// or an existing output is copied. Outputs are in the order of the calls.
func (g *Graph) Output(t *Tensor, name string) {
	if g.err != nil {
		return
	}
	if t == nil {
		g.fail("output %q: no tensor", name)
		return
	}
	if t.source != fromNode || slices.Contains(g.outputs, t) {
		t = g.Node("Identity", []*Tensor{t}, t.Shape, t.DType)
	}
	if err := g.claim(name); err != nil {
		g.Fail(err)
		return
	}
	t.Name = name
	g.outputs = append(g.outputs, t)
}

// Inputs returns the inputs in order of declaration.
func (g *Graph) Inputs() []*Tensor { return slices.Clone(g.inputs) }

// Outputs returns the outputs in order of declaration.
func (g *Graph) Outputs() []*Tensor { return slices.Clone(g.outputs) }

// Const adds a constant of the graph's floating-point type; without a shape it has one dimension. Equal constants are
// stored once.
func (g *Graph) Const(data []float32, shape ...int64) *Tensor {
	if g.dtype == Float64 {
		wide := make([]float64, len(data))
		for i, v := range data {
			wide[i] = float64(v)
		}
		return g.Const64(wide, shape...)
	}
	raw := make([]byte, 4*len(data))
	for i, v := range data {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	return g.ConstRaw(Float32, raw, orList(shape, len(data))...)
}

// Const64 is [Graph.Const] for values computed in double precision. A Float32 graph rounds them once.
func (g *Graph) Const64(data []float64, shape ...int64) *Tensor {
	if g.dtype != Float64 {
		narrow := make([]float32, len(data))
		for i, v := range data {
			narrow[i] = float32(v)
		}
		return g.Const(narrow, shape...)
	}
	raw := make([]byte, 8*len(data))
	for i, v := range data {
		binary.LittleEndian.PutUint64(raw[8*i:], math.Float64bits(v))
	}
	return g.ConstRaw(Float64, raw, orList(shape, len(data))...)
}

// Scalar adds a floating-point constant of shape [1].
func (g *Graph) Scalar(v float64) *Tensor { return g.Const64([]float64{v}) }

// Int64s adds a list of integers of shape [len(v)], the form that the shape, axes and index inputs of operators take.
func (g *Graph) Int64s(v ...int64) *Tensor {
	raw := make([]byte, 8*len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(raw[8*i:], uint64(x))
	}
	return g.ConstRaw(Int64, raw, int64(len(v)))
}

// ConstRaw adds a constant of any type; raw holds the elements little-endian and must not change afterwards.
func (g *Graph) ConstRaw(dt DType, raw []byte, shape ...int64) *Tensor {
	if g.err != nil {
		return g.Fail(nil)
	}
	t := &Tensor{Shape: slices.Clone(shape), DType: dt, source: fromConst}
	if n := t.Size(); n < 0 || dt.Size() == 0 || n*int64(dt.Size()) != int64(len(raw)) {
		return g.fail("constant %v%v: %d bytes given", dt, shape, len(raw))
	}
	h := sha256.New()
	fmt.Fprint(h, dt, shape, "\n")
	h.Write(raw)
	key := [sha256.Size]byte(h.Sum(nil))
	if old := g.consts[key]; old != nil {
		return old
	}
	in := initialiser{tensor: t, raw: raw}
	if g.beside != nil && len(raw) >= leastGathered {
		offset, err := g.beside.write(part{bytes: raw})
		if err != nil {
			return g.Fail(err)
		}
		in = initialiser{tensor: t, offset: offset, size: int64(len(raw))}
	}
	t.Name = g.fresh("const")
	g.consts[key] = t
	g.inits = append(g.inits, in)
	return t
}

// Node adds any ONNX operator with one result, without a gradient. An omitted optional input is nil. The name of an
// operator of another domain includes the domain: "com.microsoft.QuickGelu".
func (g *Graph) Node(op string, ins []*Tensor, outShape []int64, outDT DType, attrs ...Attr) *Tensor {
	return g.NodeN(op, ins, []Spec{{outDT, outShape}}, attrs...)[0]
}

// NodeN is [Graph.Node] for an operator with several results; it always returns len(outs) tensors.
func (g *Graph) NodeN(op string, ins []*Tensor, outs []Spec, attrs ...Attr) []*Tensor {
	made := make([]*Tensor, len(outs))
	if g.err != nil {
		for i := range made {
			made[i] = g.Fail(nil)
		}
		return made
	}
	n := node{op: op, ins: slices.Clone(ins), attrs: attrs}
	if i := strings.LastIndexByte(op, '.'); i >= 0 {
		n.domain, n.op = op[:i], op[i+1:]
		if !slices.Contains(g.domains, n.domain) {
			g.domains = append(g.domains, n.domain)
		}
	}
	n.name = g.fresh(n.op)
	for i, s := range outs {
		made[i] = &Tensor{Name: n.name, Shape: slices.Clone(s.Shape), DType: s.DType}
		if i > 0 {
			made[i].Name = g.fresh(n.op)
		}
	}
	n.outs = made
	g.nodes = append(g.nodes, n)
	return made
}

// fresh returns an unused name: the operator and a number.
func (g *Graph) fresh(op string) string {
	for {
		g.count++
		name := fmt.Sprintf("%s_%d", op, g.count)
		if !g.names[name] {
			g.names[name] = true
			return name
		}
	}
}

func (g *Graph) claim(name string) error {
	if name == "" {
		return errors.New("graph: an input or output needs a name")
	}
	if g.names[name] {
		return fmt.Errorf("graph: the name %q is used twice", name)
	}
	g.names[name] = true
	return nil
}

func orList(shape []int64, n int) []int64 {
	if len(shape) == 0 {
		return []int64{int64(n)}
	}
	return shape
}
