package sets

import (
	"errors"
	"fmt"
	"strings"
)

// ErrGrid is the error of settings to choose from that cannot be read.
var ErrGrid = errors.New("settings to choose from")

// maxVariants bounds a grid: each variant takes seconds per set.
const maxVariants = 1000

// Grid returns the lists of settings to choose from. Each element of variants is one list, KEY=VALUE[,KEY=VALUE]…; each
// element of choices, KEY=VALUE[,VALUE]…, is one axis of a grid, whose points all become lists. A comma within brackets
// belongs to a value. The keys are those of models.Manifest.Set; Grid does not know them.
func Grid(variants, choices []string) ([][]string, error) {
	var lists [][]string
	for _, v := range variants {
		settings := split(v)
		for _, s := range settings {
			if key, value, ok := strings.Cut(s, "="); !ok || key == "" || value == "" {
				return nil, fmt.Errorf("%w: %q: want KEY=VALUE,KEY=VALUE, such as compound.rule=gated,compound.lse_weight=0.5", ErrGrid, v)
			}
		}
		lists = append(lists, settings)
	}
	grid := [][]string{nil}
	for _, c := range choices {
		key, values, ok := strings.Cut(c, "=")
		if !ok || key == "" || values == "" {
			return nil, fmt.Errorf("%w: %q: want KEY=VALUE,VALUE, such as compound.lse_weight=0.5,1,2", ErrGrid, c)
		}
		var next [][]string
		for _, point := range grid {
			for _, value := range split(values) {
				next = append(next, append(point[:len(point):len(point)], key+"="+value))
			}
		}
		if grid = next; len(grid) > maxVariants {
			return nil, fmt.Errorf("%w: the grid has %d points or more, want at most %d", ErrGrid, len(grid), maxVariants)
		}
	}
	if len(choices) > 0 {
		lists = append(lists, grid...)
	}
	return lists, nil
}

// split splits at the commas outside of brackets.
func split(s string) []string {
	var parts []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ',' && depth == 0:
			parts = append(parts, s[from:i])
			from = i + 1
		}
	}
	return append(parts, s[from:])
}
