package graph

import (
	"fmt"
	"math"
)

// What is more than a runtime can take: it needs about 10 kB of memory for each operator and 100 kB for each graph in an
// attribute, and copies a function wherever it is called.
const (
	maxOperators = 1 << 18 // with those of functions, as often as they are called
	maxGraphs    = 1 << 12 // in attributes
	maxRank      = 64      // dimensions of a tensor
)

// census counts the operators of a model.
type census struct {
	functions map[string]*function
	graphs    int
}

// function is a local function of a model.
type function struct {
	name  string
	nodes [][]byte
	cost  int // operators, with those of the functions that it calls
	busy  bool
}

// checkSize returns an error for a model that stands for more operators than a runtime can take, and for functions that
// call themselves.
func (m *Model) checkSize() error {
	c := census{functions: map[string]*function{}}
	for _, f := range m.top {
		if !f.isBytes(modelFunction) {
			continue
		}
		if err := c.declare(f.val); err != nil {
			return err
		}
	}
	operators := 0
	for _, f := range m.graph {
		if f.isBytes(graphNode) {
			if err := c.add(&operators, f.val, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// The numbers of fields of functions and nodes that only functions need.
const functionName, functionDomain, functionOverload, nodeOverload = 1, 10, 13, 8

// declare reads a local function.
func (c *census) declare(b []byte) error {
	fs, err := parseFields(b, "function")
	if err != nil {
		return err
	}
	fn := &function{cost: -1}
	var domain, overload string
	for _, f := range fs {
		switch {
		case f.isBytes(functionName):
			fn.name = string(f.val)
		case f.isBytes(functionDomain):
			domain = string(f.val)
		case f.isBytes(functionOverload):
			overload = string(f.val)
		case f.isBytes(functionNode):
			fn.nodes = append(fn.nodes, f.val)
		}
	}
	key := functionKey(domain, fn.name, overload)
	if c.functions[key] != nil {
		return fmt.Errorf("%w: it has two functions %q", ErrModel, fn.name)
	}
	c.functions[key] = fn
	return nil
}

func functionKey(domain, name, overload string) string {
	if domain == "ai.onnx" {
		domain = ""
	}
	return domain + "\x00" + name + "\x00" + overload
}

// add counts a node with what it stands for.
func (c *census) add(operators *int, node []byte, depth int) error {
	fs, err := parseFields(node, "node")
	if err != nil {
		return err
	}
	*operators++
	var domain, op, overload string
	for _, f := range fs {
		switch {
		case f.isBytes(nodeOp):
			op = string(f.val)
		case f.isBytes(nodeDomain):
			domain = string(f.val)
		case f.isBytes(nodeOverload):
			overload = string(f.val)
		case f.isBytes(nodeAttr):
			if err := c.attribute(operators, f.val, depth); err != nil {
				return err
			}
		}
	}
	if fn := c.functions[functionKey(domain, op, overload)]; fn != nil {
		if err := c.expand(fn); err != nil {
			return err
		}
		*operators += fn.cost
	}
	if *operators > maxOperators {
		return fmt.Errorf("%w: more than %d operators, counted as often as they are called", ErrModel, maxOperators)
	}
	return nil
}

// expand computes the cost of a function.
func (c *census) expand(fn *function) error {
	if fn.busy {
		return fmt.Errorf("%w: the function %q calls itself", ErrModel, fn.name)
	}
	if fn.cost >= 0 {
		return nil
	}
	fn.busy = true
	cost := 0
	for _, n := range fn.nodes {
		if err := c.add(&cost, n, 0); err != nil {
			return err
		}
	}
	fn.busy, fn.cost = false, cost
	return nil
}

// attribute counts the graphs in an attribute.
func (c *census) attribute(operators *int, b []byte, depth int) error {
	fs, err := parseFields(b, "attribute")
	if err != nil {
		return err
	}
	for _, f := range fs {
		if !f.isBytes(attrGraphField) && !f.isBytes(attrGraphsField) {
			continue
		}
		if c.graphs++; c.graphs > maxGraphs || depth+1 >= maxDepth {
			return fmt.Errorf("%w: more than %d graphs in attributes, or nested deeper than %d", ErrModel, maxGraphs, maxDepth)
		}
		inner, err := parseFields(f.val, "graph")
		if err != nil {
			return err
		}
		for _, g := range inner {
			if g.isBytes(graphNode) {
				if err := c.add(operators, g.val, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkNames returns an error if two constants, two inputs or two results have the same name: programs differ in which one
// they take.
func (m *Model) checkNames() error {
	inits, inputs, made := map[string]bool{}, map[string]bool{}, map[string]bool{}
	once := func(seen map[string]bool, what, name string) error {
		if name != "" && seen[name] {
			return fmt.Errorf("%w: it has two %s %q", ErrModel, what, name)
		}
		seen[name] = true
		return nil
	}
	for _, f := range m.graph {
		switch {
		case f.isBytes(graphInit):
			w, _ := parseWeight(f.val) // it was parsed before
			if err := once(inits, "initialisers", w.Name); err != nil {
				return err
			}
		case f.isBytes(graphInput):
			v, _ := parseValue(f.val)
			if err := once(inputs, "inputs", v.Name); err != nil {
				return err
			}
		case f.isBytes(graphNode):
			op, _ := parseOperator(f.val)
			for _, name := range op.Outputs {
				if err := once(made, "results", name); err != nil {
					return err
				}
			}
		}
	}
	for name := range made {
		if name != "" && (inits[name] || inputs[name]) {
			return fmt.Errorf("%w: %q is the result of an operator and an input or initialiser too", ErrModel, name)
		}
	}
	return nil
}

// checkData returns an error if the data of a constant inside the model is not as long as its shape says.
func (w *Weight) checkData(raw int, outside bool) error {
	n := int64(1)
	for _, d := range w.Shape {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return fmt.Errorf("%w: initialiser %q has the shape %v", ErrModel, w.Name, w.Shape)
		}
		n *= d
	}
	if size := int64(w.DType.Size()); !outside && size > 0 && raw >= 0 && int64(raw) != n*size {
		return fmt.Errorf("%w: initialiser %q has %d bytes for %s%v", ErrModel, w.Name, raw, w.DType, w.Shape)
	}
	if !outside && n > 0 && w.Bytes == 0 {
		return fmt.Errorf("%w: initialiser %q has no data", ErrModel, w.Name)
	}
	return nil
}
