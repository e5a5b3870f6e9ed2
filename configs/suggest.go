package configs

import (
	"reflect"
	"regexp"
	"slices"
)

// suggest returns ", did you mean …?" for an unknown key in a struct of type t at path. It names the key of the same struct
// with the most similar spelling or, failing that, the path of this key in another section. It returns "" if neither exists.
func suggest(key string, t reflect.Type, path string) string {
	best, least := "", (len(key)+2)/3+1
	for _, k := range keysOf(t) {
		if n := distance(key, k); n < least {
			best, least = k, n
		}
	}
	if best == "" {
		best = elsewhere(key, path)
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// keysOf returns the keys of a struct in order.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fields(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// field is one key of a struct.
type field struct {
	key   string
	typ   reflect.Type
	index []int // for reflect's FieldByIndex
}

// fields returns the keys of a struct, including the keys of inlined structs.
func fields(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, inline := keyOf(f)
		switch {
		case inline:
			for _, in := range fields(f.Type) {
				in.index = slices.Concat([]int{i}, in.index)
				all = append(all, in)
			}
		case name != "":
			all = append(all, field{key: name, typ: f.Type, index: []int{i}})
		}
	}
	return all
}

var inList = regexp.MustCompile(`\[\d+\]`)

// elsewhere returns the path of the first key of that name in another section.
func elsewhere(key, path string) string {
	found := ""
	var look func(t reflect.Type, at string)
	look = func(t reflect.Type, at string) {
		for _, f := range fields(t) {
			here := join(at, f.key)
			if f.key == key && found == "" && at != inList.ReplaceAllString(path, "[]") {
				found = here
			}
			if f.typ.Kind() == reflect.Struct && len(fields(f.typ)) > 0 {
				look(f.typ, here)
			}
			if f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct {
				look(f.typ.Elem(), here+"[]")
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
	return found
}

// distance returns the smallest number of insertions, deletions, replacements and swaps of adjacent letters that turn a into
// b (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}
