package graph

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// maxDepth bounds how deep graphs are nested in attributes of nodes (If, Loop, Scan).
const maxDepth = 32

// Merge returns the model that runs a and then b, with a's output i feeding b's input join[i]. The result has the inputs
// of a and the remaining inputs of b, and the outputs of a that were not joined and all outputs of b. Inner names of b
// that a uses too get a suffix. It is an error if both have an input or output of the same name, or if they use
// different versions of an operator set.
func Merge(a, b *Model, join map[string]string) (*Model, error) {
	for domain, v := range b.Opsets() {
		if w, ok := a.Opsets()[domain]; ok && v != w {
			return nil, fmt.Errorf("graph: merge: operator set %q has versions %d and %d", domain, w, v)
		}
	}
	rename, err := joinNames(a, b, join)
	if err != nil {
		return nil, err
	}
	out := &Model{top: slices.Clone(a.top), at: a.at, changed: true}
	for _, f := range a.graph {
		if f.isBytes(graphOutput) {
			if v, _ := parseValue(f.val); join[v.Name] != "" {
				continue
			}
		}
		out.graph = append(out.graph, f)
	}
	joined := map[string]bool{}
	for _, in := range join {
		joined[in] = true
	}
	for _, f := range b.graph {
		if f.isBytes(graphInput) {
			if v, _ := parseValue(f.val); joined[v.Name] {
				continue
			}
		}
		if f.num == 2 || f.num == 10 { // name and documentation of the graph: keep those of a
			continue
		}
		if f, err = renameGraphField(f, rename, 0); err != nil {
			return nil, err
		}
		out.graph = append(out.graph, f)
	}
	out.addOpsets(a, b)
	return out, nil
}

// addOpsets adds the operator sets and local functions that only b has, and keeps the newer format version.
func (m *Model) addOpsets(a, b *Model) {
	have := a.Opsets()
	for _, f := range b.top {
		switch {
		case f.isBytes(modelOpset):
			one := &Model{top: []field{f}}
			for domain := range one.Opsets() {
				if _, ok := have[domain]; !ok {
					m.top = append(m.top, f)
				}
			}
		case f.isBytes(25):
			m.top = append(m.top, f)
		}
		if v, ok := f.varint(modelIR); ok {
			for i, g := range m.top {
				if w, ok := g.varint(modelIR); ok && v > w {
					m.top[i] = f
				}
			}
		}
	}
}

// joinNames checks that the models fit and returns the new names of b's tensors and nodes.
func joinNames(a, b *Model, join map[string]string) (map[string]string, error) {
	outputs, used := nameSet(a.Outputs()), a.names()
	inputs := nameSet(b.Inputs())
	rename, fed := map[string]string{}, map[string]bool{}
	for from, to := range join {
		switch {
		case !outputs[from]:
			return nil, fmt.Errorf("graph: merge: the first model has no output %q", from)
		case !inputs[to]:
			return nil, fmt.Errorf("graph: merge: the second model has no input %q", to)
		case fed[to]:
			return nil, fmt.Errorf("graph: merge: input %q is fed twice", to)
		}
		fed[to], rename[to] = true, from
	}
	border := nameSet(slices.Concat(b.Inputs(), b.Outputs()))
	all := b.names()
	taken := func(name string) bool { return used[name] || all[name] }
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !used[name] || fed[name] {
			continue
		}
		if border[name] {
			return nil, fmt.Errorf("graph: merge: both models use the name %q", name)
		}
		fresh := name + "_b"
		for taken(fresh) {
			fresh += "_"
		}
		rename[name] = fresh
		used[fresh] = true
	}
	return rename, nil
}

func nameSet(vs []Value) map[string]bool {
	set := map[string]bool{}
	for _, v := range vs {
		set[v.Name] = true
	}
	return set
}

// names returns the names of all tensors and nodes of the graph, except those inside attributes.
func (m *Model) names() map[string]bool {
	set := nameSet(slices.Concat(m.values(graphInput), m.Outputs(), m.values(graphInfo)))
	for _, w := range m.Initialisers() {
		set[w.Name] = true
	}
	for _, op := range m.Operators() {
		set[op.Name] = true
		for _, n := range slices.Concat(op.Inputs, op.Outputs) {
			set[n] = true
		}
	}
	delete(set, "")
	return set
}

// renameGraphField renames in one field of a GraphProto.
func renameGraphField(f field, rename map[string]string, depth int) (field, error) {
	switch {
	case f.isBytes(graphNode):
		return f.each("node", func(n field) (field, error) {
			if n.isBytes(nodeAttr) {
				return renameAttr(n, rename, depth)
			}
			return n.renamed(rename, nodeInput, nodeOutput, nodeName), nil
		})
	case f.isBytes(graphInit):
		return f.each("initialiser", func(n field) (field, error) { return n.renamed(rename, 8), nil })
	case f.isBytes(graphSparse):
		return f.each("initialiser", func(n field) (field, error) {
			if !n.isBytes(1) {
				return n, nil
			}
			return n.each("values", func(v field) (field, error) { return v.renamed(rename, 8), nil })
		})
	case f.isBytes(graphInput), f.isBytes(graphOutput), f.isBytes(graphInfo), f.isBytes(14):
		return f.each("value", func(n field) (field, error) { return n.renamed(rename, 1), nil })
	}
	return f, nil
}

// renameAttr renames inside the graphs of an attribute, which may use names of the outer graph.
func renameAttr(f field, rename map[string]string, depth int) (field, error) {
	if depth >= maxDepth {
		return f, fmt.Errorf("%w: graphs nested deeper than %d", ErrModel, maxDepth)
	}
	return f.each("attribute", func(n field) (field, error) {
		if !n.isBytes(attrGraphField) && !n.isBytes(attrGraphsField) {
			return n, nil
		}
		return n.each("graph", func(g field) (field, error) { return renameGraphField(g, rename, depth+1) })
	})
}

// each rebuilds a message from its edited fields.
func (f field) each(what string, edit func(field) (field, error)) (field, error) {
	fs, err := parseFields(f.val, what)
	if err != nil {
		return f, err
	}
	changed := false
	for i, was := range fs {
		if fs[i], err = edit(was); err != nil {
			return f, err
		}
		changed = changed || len(was.raw) > 0 && &fs[i].raw[0] != &was.raw[0]
	}
	if !changed {
		return f, nil // weights are large: no copy
	}
	return messageField(f.num, fs), nil
}

func (f field) renamed(rename map[string]string, nums ...protowire.Number) field {
	for _, n := range nums {
		if f.isBytes(n) {
			if to, ok := rename[string(f.val)]; ok {
				return bytesField(n, []byte(to))
			}
		}
	}
	return f
}
