package sets_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/sets"
)

func TestGrid(t *testing.T) {
	for _, c := range []struct {
		name              string
		variants, choices []string
		want              [][]string
	}{
		{name: "nothing"},
		{
			name: "a grid", choices: []string{"compound.a=1,2", "compound.b=x,y"},
			want: [][]string{
				{"compound.a=1", "compound.b=x"}, {"compound.a=1", "compound.b=y"}, {"compound.a=2", "compound.b=x"}, {"compound.a=2", "compound.b=y"},
			},
		},
		{
			name: "lists come first", variants: []string{"compound.rule=gated,compound.a=1", "compound.a=3"}, choices: []string{"compound.a=1"},
			want: [][]string{{"compound.rule=gated", "compound.a=1"}, {"compound.a=3"}, {"compound.a=1"}},
		},
		{
			name: "commas in brackets", choices: []string{"diffusion.timesteps=[1,2],[3,4]"},
			want: [][]string{{"diffusion.timesteps=[1,2]"}, {"diffusion.timesteps=[3,4]"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := sets.Grid(c.variants, c.choices)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("Grid() = %v, %v\n%s", got, err, diff)
			}
		})
	}
	many := "k=" + strings.Repeat("1,", 31) + "1"
	for _, bad := range [][2][]string{{{"compound.a"}, nil}, {nil, {"compound.a="}}, {nil, {"=1"}}, {nil, {many, many}}} {
		if _, err := sets.Grid(bad[0], bad[1]); !errors.Is(err, sets.ErrGrid) {
			t.Errorf("Grid(%q) = %v, want ErrGrid", bad, err)
		}
	}
}

// A table that was computed by hand. Without the second set A has the largest sum and B the largest product.
func TestChoose(t *testing.T) {
	ap := [][]float64{
		{0.9, 0.1, 0.1},  // A
		{0.6, 0.6, 0.3},  // B
		{0.2, 0.7, 0.65}, // C
	}
	rates := make([][]sets.Rates, len(ap))
	for v, of := range ap {
		for s, x := range of {
			rates[v] = append(rates[v], sets.Rates{AP: x, FPR95: float64(10*v+s) / 100})
		}
	}
	got, err := sets.Choose([]string{"A", "B", "C"}, []string{"one", "two", "three"}, rates)
	if err != nil {
		t.Fatal(err)
	}
	chosen := func(name string, ap, fpr float64) sets.Chosen {
		return sets.Chosen{Variant: name, Rates: sets.Rates{AP: ap, FPR95: fpr}}
	}
	want := &sets.Choice{
		Variants: []string{"A", "B", "C"},
		Sets: []sets.Left{
			{Set: "one", ByMean: chosen("C", 0.2, 0.2), ByGeometric: chosen("C", 0.2, 0.2), Best: chosen("A", 0.9, 0)},
			{Set: "two", ByMean: chosen("A", 0.1, 0.01), ByGeometric: chosen("B", 0.6, 0.11), Best: chosen("C", 0.7, 0.21)},
			{Set: "three", ByMean: chosen("B", 0.3, 0.12), ByGeometric: chosen("B", 0.3, 0.12), Best: chosen("C", 0.65, 0.22)},
		},
		ByMean:        chosen("C", 1.55/3, 0.21),
		ByGeometric:   chosen("B", 0.5, 0.11),
		Mean:          sets.Means{AP: 0.2, APGeometric: math.Cbrt(0.006), FPR95: 0.11},
		MeanGeometric: sets.Means{AP: 1.1 / 3, APGeometric: math.Cbrt(0.036), FPR95: 0.43 / 3},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Error(diff)
	}
	if _, err := sets.Choose([]string{"A"}, []string{"one"}, rates); !errors.Is(err, sets.ErrTooFew) {
		t.Errorf("one set: %v, want ErrTooFew", err)
	}
}

func measured(set, method string, steps int, ap float64) *eval.Measured {
	r := eval.Result{Dataset: set, Bundle: "b", Method: method, Timesteps: steps, Images: 3, AP: ap, FPR95: 1 - ap}
	if method == "dood" {
		r.Spread = &eval.Spread{N: 9, AP: [2]float64{ap - 0.1, ap + 0.1}}
		r.Components = &eval.Components{ByArea: []eval.AreaClass{{Class: "small", Objects: 4, AP: ap / 2, Recall: 0.25}}}
	}
	return &eval.Measured{Result: r}
}

func TestTable(t *testing.T) {
	var table sets.Table
	for i, set := range []string{"one", "two"} {
		table.Add([]*eval.Measured{
			measured(set, "dood", 5, 0.2+0.6*float64(i)), measured(set, "lse", 0, 0.5), measured(set, "a=1", 5, 0.3), measured(set, "a=2", 5, 0.4),
		})
	}
	if err := table.Finish(2); err != nil {
		t.Fatal(err)
	}
	if m := table.Rows[0].Means; len(table.Rows) != 2 || math.Abs(m.AP-0.5) > 1e-12 || math.Abs(m.APGeometric-0.4) > 1e-12 {
		t.Errorf("%d rows, means %+v, want AP 0.5 and geometric mean √(0.2·0.8)", len(table.Rows), m)
	}
	var text bytes.Buffer
	if err := table.Write(&text); err != nil {
		t.Fatal(err)
	}
	fields := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"Bundle b:", "one (3) two (3) mean geometric", "dood 5 20.0 / 80.0 80.0 / 20.0 50.0 / 50.0 40.0", "lse – 50.0 / 50.0",
		"dood 5 10.0 … 30.0 70.0 … 90.0", "of 9 draws", "small, 0 to 32 px (8 on 2 sets)", "dood 5 25.0 / 25.0 – –",
		"of 2 settings", "one a=2 40.0 / 60.0 a=2 40.0 / 60.0",
	} {
		if !strings.Contains(fields, want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
	if md := table.Markdown(); !strings.Contains(md, "| dood | 5 | 20.0 / 80.0 | 80.0 / 20.0 | 50.0 / 50.0 | 40.0 |") || !strings.Contains(md, `| method | \|T\| |`) {
		t.Errorf("Markdown:\n%s", md)
	}
}

func TestBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	tables := sets.ParseBlock(path + "#tables")
	for _, text := range []string{"first", "second\n\nline\n"} { // creates the document, then replaces its block
		if err := tables.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if want := "<!-- begin tables -->\nsecond\n\nline\n<!-- end tables -->\n"; err != nil || string(raw) != want {
		t.Errorf("%q, %v; want %q", raw, err, want)
	}
	prose := "before\n<!-- begin tables -->\nold\n<!-- end tables -->\nafter\n"
	if err := os.WriteFile(path, []byte(prose), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tables.Write("new"); err != nil {
		t.Fatal(err)
	}
	raw, err = os.ReadFile(path)
	if want := strings.Replace(prose, "old", "new", 1); err != nil || string(raw) != want {
		t.Errorf("%q, %v; want %q", raw, err, want)
	}
	for _, err := range []error{sets.ParseBlock(path).Write("x"), sets.ParseBlock(path + "#other").Check()} {
		if !errors.Is(err, sets.ErrNoBlock) || strings.Contains(err.Error(), "\n") {
			t.Errorf("no such block: %v, want ErrNoBlock in one line", err)
		}
	}
}
