package importer

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// takenFrom is the size in bytes from which published weights are taken out of a part. Smaller ones, such as biases, would
// not make it smaller.
const takenFrom = 1 << 10

// allStages are features for which an EfficientNet-Lite needs every weight but the classifier's.
const allStages = "stage7@32"

// Strip writes a bundle without the weights that the files of published weights contain, as a part that may be published
// where those may not. [Assemble] is the inverse. Strip returns how many bytes it has taken out.
func Strip(b *models.Bundle, weights []string, out string) (taken int, err error) {
	refs, err := references(weights)
	if err != nil {
		return 0, err
	}
	encoder, err := b.Encoder()
	if err != nil {
		return 0, err
	}
	part, taken, err := graph.TakeOut(encoder, refs, takenFrom)
	if err != nil {
		return 0, fmt.Errorf("bundle %q: %w", b.Path(), err)
	}
	if taken == 0 {
		return 0, &InputError{fmt.Errorf("bundle %q: its encoder contains none of these weights", b.Path())}
	}
	p, err := models.NewPart(b, part)
	if err != nil {
		return 0, err
	}
	return taken, p.Write(out)
}

// Assemble completes the part in the folder dir with the weights in files as they were published, and writes the bundle. The
// checksum in the manifest proves that the encoder is the one that Strip was given.
func Assemble(dir string, weights []string, out string) (*models.Manifest, error) {
	p, err := models.OpenPart(dir)
	if err != nil {
		return nil, err
	}
	refs, err := references(weights)
	if err != nil {
		return nil, err
	}
	encoder, err := graph.PutBack(p.Encoder(), refs)
	if errors.Is(err, graph.ErrPart) {
		return nil, &InputError{fmt.Errorf("assemble %q: %w", dir, err)}
	}
	if err != nil {
		return nil, fmt.Errorf("assemble %q: %w", dir, err)
	}
	if err := p.Assemble(out, encoder); err != nil {
		return nil, err
	}
	return &p.Manifest, nil
}

// references returns the weights in files as encoders contain them: with BatchNorm folded in, in full and in half precision.
func references(files []string) (graph.References, error) {
	var all []*graph.Model
	for _, path := range files {
		weights, _, err := readWeights(path)
		if err != nil {
			return graph.References{}, err
		}
		cfg, err := nets.InferEfficientNetLite(weights)
		if err != nil {
			return graph.References{}, badInput(path, err)
		}
		cfg.Features = allStages
		g, err := nets.EfficientNetLite(cfg, weights, nets.LiteCompanions{})
		if err != nil {
			return graph.References{}, badInput(path, err)
		}
		raw, err := g.Marshal()
		if err != nil {
			return graph.References{}, badInput(path, err)
		}
		for _, half := range []bool{false, true} {
			m, err := graph.Parse(raw)
			if err == nil && half {
				err = m.Halve(takenFrom)
			}
			if err != nil {
				return graph.References{}, badInput(path, err)
			}
			all = append(all, m)
		}
	}
	return graph.NewReferences(all...), nil
}
