package configs

import (
	"reflect"
	"strings"
)

// live reports whether a change of the key at path takes effect while cameras run. This is the only list of such keys;
// changes of any other key need a restart.
func live(path string) bool {
	for _, key := range []string{"bundle", "provider.batch", "detector", "events", "archive", "cameras"} {
		if path == key || strings.HasPrefix(path, key+".") {
			return path != "archive.dir"
		}
	}
	return false
}

// Reload returns c with the live keys of next. It also returns the paths of the other keys that differ, in the order of
// default.yaml; changing them needs a restart.
func (c Config) Reload(next Config) (effective Config, needRestart []string) {
	effective = c
	visit("", reflect.ValueOf(&effective).Elem(), reflect.ValueOf(next), func(path string, into, from reflect.Value) {
		switch {
		case live(path):
			into.Set(from)
		case !reflect.DeepEqual(into.Interface(), from.Interface()):
			needRestart = append(needRestart, path)
		}
	})
	return effective, needRestart
}

// visit calls f for every leaf key of two structs of the same type.
func visit(path string, into, from reflect.Value, f func(path string, into, from reflect.Value)) {
	for _, key := range fields(into.Type()) {
		at, a, b := join(path, key.key), into.FieldByIndex(key.index), from.FieldByIndex(key.index)
		if key.typ.Kind() == reflect.Struct && len(fields(key.typ)) > 0 {
			visit(at, a, b, f)
			continue
		}
		f(at, a, b)
	}
}
