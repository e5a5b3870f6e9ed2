package graph

import (
	"fmt"
	"slices"
)

// SetOpset declares another version of the standard operator set, so that [Merge] can join m with a model of that
// version. It changes no operator: the caller must know that m's operators mean the same in both versions.
func (m *Model) SetOpset(version int64) {
	for i, f := range m.top {
		if !f.isBytes(modelOpset) {
			continue
		}
		one := &Model{top: []field{f}}
		if _, standard := one.Opsets()[""]; standard {
			m.top = slices.Clone(m.top)
			m.top[i] = bytesField(modelOpset, appendVarint(nil, 2, version))
			m.changed = true
		}
	}
}

// KeepOutputs removes all outputs except the named ones. It leaves operators that no output needs any more to the
// runtime, which removes them.
func (m *Model) KeepOutputs(names ...string) error {
	have := nameSet(m.Outputs())
	for _, n := range names {
		if !have[n] {
			return fmt.Errorf("graph: the model has no output %q", n)
		}
	}
	m.graph = slices.DeleteFunc(slices.Clone(m.graph), func(f field) bool {
		if !f.isBytes(graphOutput) {
			return false
		}
		v, _ := parseValue(f.val)
		return !slices.Contains(names, v.Name)
	})
	m.changed = true
	return nil
}

// Prefix puts prefix before the name of every tensor and node, including inputs and outputs, so that two models that are
// merged have no name in common.
func (m *Model) Prefix(prefix string) error {
	rename := map[string]string{}
	for name := range m.names() {
		rename[name] = prefix + name
	}
	out := slices.Clone(m.graph)
	for i, f := range out {
		f, err := renameGraphField(f, rename, 0)
		if err != nil {
			return err
		}
		out[i] = f
	}
	m.graph, m.changed = out, true
	return nil
}

// Rename gives a tensor another name, which no other tensor or node may have.
func (m *Model) Rename(from, to string) error {
	names := m.names()
	if !names[from] || names[to] || to == "" {
		return fmt.Errorf("graph: rename %q to %q: want a name of the model, and one that it does not have", from, to)
	}
	out := slices.Clone(m.graph)
	for i, f := range out {
		f, err := renameGraphField(f, map[string]string{from: to}, 0)
		if err != nil {
			return err
		}
		out[i] = f
	}
	m.graph, m.changed = out, true
	return nil
}

// Free gives the tensor or node of a name, if there is one, another name, so that something else can have it. It returns the
// new name, or "".
func (m *Model) Free(name string) (string, error) {
	names := m.names()
	if !names[name] {
		return "", nil
	}
	to := name + "_raw"
	for names[to] {
		to += "_"
	}
	return to, m.Rename(name, to)
}
