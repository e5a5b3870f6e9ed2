package nets

import (
	"slices"

	"github.com/oodcast/oodcast/models/graph"
)

// otherFloats are the types of numbers besides float32 that networks compute with.
func otherFloats() []graph.DType { return []graph.DType{graph.Float16, graph.BFloat16, graph.Float64} }

// tap makes the tensors outputs of user, as float32.
func (t *ForeignTensors) tap(user *graph.Model) error {
	mixed := Precision(user) != graph.Float32
	for _, name := range []*string{&t.Features, &t.Logits, &t.ClassLogits, &t.MaskLogits} {
		if *name == "" {
			continue
		}
		if err := user.Tap(*name); err != nil {
			return err
		}
		if is := user.TypeOf(*name); is == graph.Float32 || is == 0 && !mixed {
			continue
		}
		cast, err := user.Cast(*name, graph.Float32)
		if err != nil {
			return err
		}
		if err := user.Tap(cast); err != nil {
			return err
		}
		*name = cast
	}
	return nil
}

// Precision returns the type of numbers that a model computes with in addition to float32, or float32 if there is none.
func Precision(m *graph.Model) graph.DType {
	types := m.Types()
	for _, t := range otherFloats() {
		if slices.Contains(types, t) {
			return t
		}
	}
	return graph.Float32
}
