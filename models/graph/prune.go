package graph

import "slices"

// prune removes operators and initialisers that nothing reads, and types of tensors that are gone.
func (m *Model) prune() {
	for {
		read := nameSet(m.Outputs())
		made := nameSet(m.values(graphInput))
		for _, op := range m.Operators() {
			for _, in := range op.Inputs {
				read[in] = true
			}
			for _, out := range op.Outputs {
				made[out] = true
			}
		}
		before := len(m.graph)
		m.graph = slices.DeleteFunc(m.graph, func(f field) bool {
			switch {
			case f.isBytes(graphNode):
				op, _ := parseOperator(f.val)
				return !slices.ContainsFunc(op.Outputs, func(out string) bool { return read[out] })
			case f.isBytes(graphInit):
				w, _ := parseWeight(f.val)
				return !read[w.Name]
			case f.isBytes(graphInfo):
				v, _ := parseValue(f.val)
				return !made[v.Name]
			}
			return false
		})
		if len(m.graph) == before {
			return
		}
	}
}
