package graph_test

import (
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
)

// doubler is y = x + x, with an inner tensor that is an output too.
func doubler(t *testing.T) *graph.Model {
	t.Helper()
	g := graph.New(graph.Float32)
	x := g.Input("x", graph.Float32, 2)
	y := g.Add(x, x)
	g.Output(y, "y")
	g.Output(g.Mul(y, g.Scalar(3)), "z")
	return parse(t, marshal(t, g))
}

func TestSetOpset(t *testing.T) {
	m := doubler(t)
	m.SetOpset(20)
	if got := parse(t, m.Marshal()).Opsets()[""]; got != 20 {
		t.Errorf("operator set %d, want 20", got)
	}
}

func TestKeepOutputs(t *testing.T) {
	m := doubler(t)
	if err := m.KeepOutputs("z"); err != nil {
		t.Fatal(err)
	}
	if out := parse(t, m.Marshal()).Outputs(); len(out) != 1 || out[0].Name != "z" {
		t.Errorf("outputs %v, want z", out)
	}
	if err := m.KeepOutputs("y"); err == nil || !strings.Contains(err.Error(), `no output "y"`) {
		t.Errorf("KeepOutputs() of a removed output: %v", err)
	}
}

// TestPrefix joins a model with itself, for which all names must differ.
func TestPrefix(t *testing.T) {
	a, b := doubler(t), doubler(t)
	if err := b.Prefix("b."); err != nil {
		t.Fatal(err)
	}
	m, err := graph.Merge(a, b, map[string]string{"y": "b.x"})
	if err != nil {
		t.Fatal(err)
	}
	m = parse(t, m.Marshal())
	var names []string
	for _, v := range m.Outputs() {
		names = append(names, v.Name)
	}
	if got := strings.Join(names, " "); got != "z b.y b.z" {
		t.Errorf("outputs %q, want %q", got, "z b.y b.z")
	}
	for _, op := range m.Operators()[2:] {
		for _, name := range op.Inputs {
			if !strings.HasPrefix(name, "b.") && name != "y" {
				t.Errorf("operator %q takes %q", op.Name, name)
			}
		}
	}
}
