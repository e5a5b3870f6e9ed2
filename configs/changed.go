package configs

import (
	"reflect"
	"slices"
)

// Changed returns the paths of the keys outside of cameras that differ between a and b, in the order of default.yaml.
func Changed(a, b Config) []string {
	return changed("", reflect.ValueOf(a), reflect.ValueOf(b))
}

func changed(path string, a, b reflect.Value) []string {
	var paths []string
	for _, f := range fields(a.Type()) {
		at, x, y := join(path, f.key), a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		switch {
		case f.typ == reflect.TypeFor[[]Camera]():
		case f.typ.Kind() == reflect.Struct && len(fields(f.typ)) > 0:
			paths = append(paths, changed(at, x, y)...)
		case f.typ.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0: // none and an empty list are the same
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			paths = append(paths, at)
		}
	}
	return slices.Clip(paths)
}

// Live reports whether a change of the key at path takes effect while cameras run; others need a restart.
func Live(path string) bool {
	return path == "bundle" || within(path, "provider.batch") || within(path, "detector") || within(path, "events") ||
		within(path, "archive") && path != "archive.dir"
}

func within(path, section string) bool {
	return len(path) > len(section) && path[:len(section)+1] == section+"."
}
