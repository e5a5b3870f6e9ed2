package models_test

import (
	"slices"
	"testing"

	"github.com/oodcast/oodcast/models"
)

// The lists have the lengths of their sets, no name twice, and the names at the positions that the sets document.
func TestClassNames(t *testing.T) {
	for n, want := range map[int]map[int]string{
		19:  {0: "road", 11: "person", 18: "bicycle"},
		21:  {0: "background", 7: "car", 15: "person", 20: "tv monitor"},
		150: {0: "wall", 12: "person", 20: "car", 80: "bus", 126: "animal", 149: "flag"},
		20:  {0: "class 0", 19: "class 19"},
	} {
		names := models.ClassNames(n)
		if len(names) != n {
			t.Fatalf("%d classes: got %d names", n, len(names))
		}
		if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != n {
			t.Errorf("%d classes: a name occurs twice", n)
		}
		for i, name := range want {
			if names[i] != name {
				t.Errorf("class %d of %d: got %q, want %q", i, n, names[i], name)
			}
		}
	}
}
