package checkpoint

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

type named struct {
	name string
	view *view
}

// stateDict lists the tensors of a dictionary, or those of a usual wrapper one level below it, or else those of the
// dictionary inside it that holds the most.
func stateDict(v any) []named {
	usual := map[string]any{} // a dictionary keeps the last value
	for _, e := range items(v) {
		if k, ok := e.Key.(string); ok && slices.Contains(wrappedIn(), k) {
			usual[k] = e.Value
		}
	}
	for _, wrapper := range wrappedIn() {
		if views := tensorItems(usual[wrapper]); len(views) > 0 {
			return views
		}
	}
	s := search{seen: map[any]bool{}, budget: plainBudget}
	s.visit(v, 0)
	return s.best
}

// wrappedIn lists the keys under which programs save the tensors, the most usual one first.
func wrappedIn() []string { return []string{"state_dict", "model_state_dict", "model"} }

// search looks for the dictionary with the most tensors.
type search struct {
	seen   map[any]bool // dictionaries may share parts, and hold themselves
	budget int
	best   []named
}

func (s *search) visit(v any, depth int) {
	const deepest = 8
	switch v.(type) {
	case *types.Dict, *types.OrderedDict, *opaque:
	default:
		return
	}
	if s.seen[v] || depth > deepest {
		return
	}
	s.seen[v] = true
	entries := items(v)
	if s.budget -= len(entries); s.budget < 0 {
		return
	}
	if views := tensorItems(v); len(views) > len(s.best) {
		s.best = views
	}
	for _, e := range entries {
		s.visit(e.Value, depth+1)
	}
}

// noTensors describes a file without a dictionary of tensors.
func noTensors(v any) error {
	const most = 20
	whole := v
	var keys []string
	for _, e := range items(v) {
		if k, ok := e.Key.(string); ok && len(keys) < most {
			keys = append(keys, strconv.QuoteToGraphic(k))
		}
		if o, ok := e.Value.(*opaque); ok && strings.HasPrefix(o.class, "torch.nn.") {
			whole = o
		}
	}
	if o, ok := whole.(*opaque); ok && len(keys) == 0 || ok && strings.HasPrefix(o.class, "torch.nn.") {
		return fmt.Errorf("the pickle names %q: a whole model, or another object, is not read: save model.state_dict()", o.class)
	}
	if len(keys) == 0 {
		return errors.New("the file holds no dictionary of tensors")
	}
	return fmt.Errorf("the file holds no dictionary of tensors, only %s", strings.Join(keys, ", "))
}

func tensorItems(v any) []named {
	var out []named
	at := map[string]int{}
	for _, e := range items(v) {
		name, okName := e.Key.(string)
		t, okView := e.Value.(*view)
		if !okName || !okView {
			continue
		}
		if i, again := at[name]; again { // a dictionary keeps the last value
			out[i].view = t
			continue
		}
		at[name] = len(out)
		out = append(out, named{name, t})
	}
	return out
}

func items(v any) []types.DictEntry {
	switch d := v.(type) {
	case *types.Dict:
		return *d
	case *opaque:
		return d.items
	case *types.OrderedDict:
		var out []types.DictEntry
		for e := d.List.Front(); e != nil; e = e.Next() {
			if entry, ok := e.Value.(*types.OrderedDictEntry); ok {
				out = append(out, types.DictEntry{Key: entry.Key, Value: entry.Value})
			}
		}
		return out
	}
	return nil
}

// plainBudget bounds the values that plainItems copies. Without it, shared parts of a pickle would multiply.
const plainBudget = 100_000

// plainItems copies the entries of a dictionary that are plain data.
func plainItems(v any) map[string]any {
	budget := plainBudget
	out := map[string]any{}
	for _, e := range items(v) {
		name, ok := e.Key.(string)
		if !ok {
			continue
		}
		if p, ok := plain(e.Value, 8, &budget); ok {
			out[name] = p
		}
	}
	return out
}

// plain copies a value that is nested at most depth levels deep. It reports false if the value is not plain data or
// exceeds the budget.
func plain(v any, depth int, budget *int) (any, bool) {
	*budget--
	if *budget < 0 || depth < 0 {
		return nil, false
	}
	switch v := v.(type) {
	case nil, bool, int, float64, string:
		return v, true
	case *types.List:
		return plainList(*v, depth, budget)
	case *types.Tuple:
		return plainList(*v, depth, budget)
	case *types.Dict, *types.OrderedDict:
		out := map[string]any{}
		for _, e := range items(v) {
			name, ok := e.Key.(string)
			if !ok {
				return nil, false
			}
			if out[name], ok = plain(e.Value, depth-1, budget); !ok {
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

func plainList(vs []any, depth int, budget *int) (any, bool) {
	var out []any
	for _, e := range vs {
		p, ok := plain(e, depth-1, budget)
		if !ok {
			return nil, false
		}
		out = append(out, p)
	}
	return out, true
}
