package nets

import (
	"fmt"
	"maps"

	"github.com/oodcast/oodcast/models/checkpoint"
)

// centre subtracts the group mean from the outputs of the layers that feed a second norm: from their weights, biases and
// time vectors. The norm would otherwise subtract the same mean from the result, for every row.
func (s *scoring) centre() error {
	blocks := denoiserBlocks(s.cfg)
	last := blocks[len(blocks)-1].name
	names := []string{last + ".out_layers.3", last + ".skip_connection"} // the norm before the output sees their sum
	for _, b := range blocks {
		names = append(names, b.name+".in_layers.2")
	}
	s.weights = maps.Clone(s.weights)
	for _, n := range names {
		for _, part := range []string{n + ".weight", n + ".bias"} {
			t, err := s.weights.Get(part, s.shapes[part]...)
			if err != nil {
				return fmt.Errorf("denoiser weights: %w", err)
			}
			data := centreGroups(t.Data, s.cfg.Width, len(t.Data)/s.cfg.Width, s.cfg.Groups)
			s.weights[part] = &checkpoint.Tensor{Name: part, Shape: t.Shape, Data: data}
		}
	}
	for name, table := range s.tables {
		var rows []float32
		for i := 0; i < len(table); i += s.cfg.Width {
			rows = append(rows, centreGroups(table[i:i+s.cfg.Width], s.cfg.Width, 1, s.cfg.Groups)...)
		}
		s.tables[name] = rows
	}
	return nil
}

// centreGroups returns w[out, in] minus the mean over each group of outputs.
func centreGroups(w []float32, out, in, groups int) []float32 {
	c, k := make([]float32, len(w)), out/groups
	for first := 0; first < out; first += k {
		for i := range in {
			var sum float64
			for o := first; o < first+k; o++ {
				sum += float64(w[o*in+i])
			}
			mean := sum / float64(k)
			for o := first; o < first+k; o++ {
				c[o*in+i] = float32(float64(w[o*in+i]) - mean)
			}
		}
	}
	return c
}
