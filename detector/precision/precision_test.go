package precision

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// Both precisions keep the maps of the embedded bundle, and the new bundles say so.
func TestConvert(t *testing.T) {
	given := open(t, models.Embedded)
	for _, c := range []struct {
		to   Precision
		size float64 // of the encoder, as a share
		has  func(*graph.Model) bool
	}{{FP16, 0.55, halves}, {INT8, 0.8, integers}} {
		out := filepath.Join(t.TempDir(), "new")
		r, err := Run(t.Context(), Options{
			Bundle: given, Precision: c.to, Footage: footage(24), Out: out, Seed: 1, ORT: ort.Options{Threads: 1},
		})
		if err != nil {
			t.Fatalf("%s: %v", c.to, err)
		}
		if !(r.Moved > 0 && r.Moved <= r.Noise.Most()) || r.Noise.Seeds <= 0 || r.Noise.Timesteps <= 0 || r.Frames != 10 {
			t.Errorf("%s: %+v", c.to, r)
		}
		if share := float64(r.After.EncoderBytes) / float64(r.Before.EncoderBytes); share > c.size {
			t.Errorf("%s: the encoder has %.2f of its size, want at most %.2f", c.to, share, c.size)
		}
		if d := r.After.Pasted.AP - r.Before.Pasted.AP; r.Before.Pasted.AP <= 0 || d < -0.05 || d > 0.05 {
			t.Errorf("%s: AP of pasted objects %.3f, then %.3f", c.to, r.Before.Pasted.AP, r.After.Pasted.AP)
		}
		if (c.to == INT8) != (r.Operators > 5 && r.Operators < r.Candidates) {
			t.Errorf("%s: %d of %d operators", c.to, r.Operators, r.Candidates)
		}
		made := open(t, out)
		if _, err := Run(t.Context(), Options{Bundle: made, Precision: c.to, Footage: footage(8), Out: out}); !errors.Is(err, ErrNothing) {
			t.Errorf("%s again: %v, want %v", c.to, err, ErrNothing)
		}
		note, _ := made.Provenance[provenanceKey].(map[string]any)
		if made.Name != given.Name+"-"+string(c.to) || !strings.HasSuffix(made.Version, string(c.to)) || note["moved"] != r.Moved {
			t.Errorf("%s: %s %s, provenance %v", c.to, made.Name, made.Version, note)
		}
		card, err := made.ReadFile(models.CardFile)
		if err != nil || strings.Count(string(card), cardSection) != 1 || !strings.Contains(string(card), "* map: moves by ") ||
			strings.Index(string(card), cardSection) > strings.Index(string(card), fit.CalibrationSection) {
			t.Errorf("%s: card %v\n%s", c.to, err, card)
		}
		if check, err := (ort.Runner{}).CheckGolden(made); err != nil || check == nil {
			t.Errorf("%s: golden outputs: %+v, %v", c.to, check, err)
		}
		if c.has(encoder(t, given)) || !c.has(encoder(t, made)) {
			t.Errorf("%s: the new encoder does not have it, or the given one does", c.to)
		}
	}
}

func encoder(t *testing.T, b *models.Bundle) *graph.Model {
	t.Helper()
	raw, err := b.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func halves(m *graph.Model) bool { return slices.Contains(m.Types(), graph.Float16) }

func integers(m *graph.Model) bool {
	return slices.ContainsFunc(m.Operators(), func(op graph.Operator) bool { return op.Type == "QuantizeLinear" })
}

// Maps without noise of their own allow nothing: neither in the search for operators nor in the comparison.
func TestRefusesWhatMoves(t *testing.T) {
	given := quiet(t)
	for _, to := range []Precision{FP16, INT8} {
		out := filepath.Join(t.TempDir(), "new")
		r, err := Run(t.Context(), Options{
			Bundle: given, Precision: to, Footage: footage(12), Out: out, Seed: 1, ORT: ort.Options{Threads: 1},
		})
		if !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "float32") {
			t.Errorf("%s: %v, want %v", to, err, ErrMoved)
		}
		if to == FP16 && (r == nil || r.Moved <= r.Noise.Most()) {
			t.Errorf("%s: %+v", to, r)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was written: %v", to, err)
		}
	}
}

func TestRefusesInput(t *testing.T) {
	given := open(t, models.Embedded)
	for name, c := range map[string]struct {
		edit func(*Options)
		want string
	}{
		"precision": {func(o *Options) { o.Precision = "int4" }, `got "int4", want fp16 or int8`},
		"name":      {func(o *Options) { o.Name = "My Bundle" }, "precision: name: "},
		"footage":   {func(o *Options) { o.Footage = footage(7) }, "not enough footage: 7 frames, want at least 8"},
		"folder":    {func(o *Options) { o.Out = "testdata/absent/../../.." }, "write bundle"},
	} {
		o := Options{Bundle: given, Precision: INT8, Footage: footage(8), Out: filepath.Join(t.TempDir(), "new")}
		c.edit(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A convolution between others is worth it, but not one whose conversions cost more than it saves, nor then its neighbour.
func TestWorth(t *testing.T) {
	s := &search{
		ops: []graph.Quantisable{
			{Name: "expand", Input: "x", Output: "a", Work: 16, Feeds: []string{"depth"}},
			{Name: "depth", Input: "a", Output: "b", Work: 9, Feeds: []string{"project"}},
			{Name: "project", Input: "b", Output: "y", Work: 96, Floats: true},
			{Name: "thin", Input: "u", Output: "v", Work: 9, Feeds: []string{"next"}},
			{Name: "next", Input: "v", Output: "w", Work: 9, Floats: true},
		},
		seen: observed{elements: map[string]int64{"x": 16, "a": 96, "b": 96, "y": 16, "u": 96, "v": 96, "w": 96}},
	}
	all := []string{"expand", "depth", "project", "thin", "next"}
	if got := s.worth(all); !slices.Equal(got, all[:3]) {
		t.Errorf("worth %v, want %v", got, all[:3])
	}
	if got := s.enough([]string{"project", "expand", "depth"}); got != 3 {
		t.Errorf("%d operators are enough, want 3", got)
	}
}

func TestDrawSharesOut(t *testing.T) {
	for _, n := range []int{fewestFrames, 28, 200} {
		o := Options{Footage: footage(n), Seed: 3}
		s, err := o.draw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := map[*ingest.Frame]bool{}
		for _, list := range [][]*ingest.Frame{s.Ranges, s.Search, s.Held} {
			if len(list) == 0 {
				t.Errorf("%d frames leave none for a purpose", n)
			}
			for _, f := range list {
				seen[f] = true
			}
		}
		if len(seen) != min(n, 28) {
			t.Errorf("of %d frames, %d are used", n, len(seen))
		}
	}
}
