package checkpoint

import "github.com/nlpodyssey/gopickle/types"

type named struct {
	name string
	view *view
}

// stateDict lists the tensors of a dictionary, or those of a usual wrapper one level below it.
func stateDict(v any) []named {
	for _, wrapper := range []string{"state_dict", "model_state_dict", "model"} {
		for _, e := range items(v) {
			if k, ok := e.Key.(string); ok && k == wrapper {
				if views := tensorItems(e.Value); len(views) > 0 {
					return views
				}
			}
		}
	}
	return tensorItems(v)
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
