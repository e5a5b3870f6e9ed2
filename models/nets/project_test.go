package nets_test

import (
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/nets"
)

// A projected encoder, and one that is projected twice, computes the product of its features; its other outputs stay.
func TestProject(t *testing.T) {
	cfg := small()
	weights := weightsFor(cfg, 0.1)
	g, err := nets.EfficientViT(cfg, weights)
	if err != nil {
		t.Fatal(err)
	}
	model, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	const h, w = 64, 96
	image := noise(2 * h * w * 3)
	plain := encode(t, open(t, model, nil), image, h, w, h, w)
	c := cfg.Channels()
	project := func(channels, rows int) nets.Projection {
		p := nets.Projection{Shift: make([]float32, channels), Matrix: make([]float32, rows*channels)}
		for i := range p.Shift {
			p.Shift[i] = float32(i%5) / 4
		}
		for i := range p.Matrix {
			p.Matrix[i] = float32(i%11-5) / 8
		}
		return p
	}
	apply := func(x []float32, p nets.Projection) (out []float32) {
		n := len(p.Shift)
		for i := 0; i < len(x); i += n {
			for r := range p.Rows() {
				sum := 0.0
				for j := range n {
					sum += float64(p.Matrix[r*n+j]) * float64(x[i+j]-p.Shift[j])
				}
				out = append(out, float32(sum))
			}
		}
		return out
	}
	first, second := project(c, 9), project(9, 4)
	once, err := nets.Project(model, first)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := nets.Project(once, second)
	want := apply(ort.Data[float32](plain["features"]), first)
	for _, tt := range []struct {
		name  string
		model []byte
		err   error
		want  []float32
	}{{"once", once, nil, want}, {"twice", twice, err, apply(want, second)}} {
		out := encode(t, open(t, tt.model, tt.err), image, h, w, h, w)
		if len(out) != len(plain) {
			t.Errorf("%s: %d outputs, want %d", tt.name, len(out), len(plain))
		}
		relative(t, tt.name, ort.Data[float32](out["features"]), tt.want)
		relative(t, tt.name+", logits", ort.Data[float32](out["logits"]), ort.Data[float32](plain["logits"]))
	}
	other, _, _, _ := patches(t, 17)
	if _, err := nets.Project(other, first); err == nil || !strings.Contains(err.Error(), "no output features") {
		t.Errorf("a network that is no encoder: %v", err)
	}
}
