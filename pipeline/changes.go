package pipeline

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// changedKeys returns the configuration keys in which two cameras differ, without secrets.
func changedKeys(before, after CameraConfig) (list []schema.Change) {
	for _, part := range []struct {
		prefix        string
		before, after any
	}{
		{"", before.Source, after.Source},
		{"", before.Queue, after.Queue},
		{"bundle", before.Bundle, after.Bundle},
		{"detector", before.Detector, after.Detector},
		{"events", before.Events, after.Events},
	} {
		list = appendChanges(list, part.prefix, reflect.ValueOf(part.before), reflect.ValueOf(part.after))
	}
	return list
}

// appendChanges appends the keys in which two values of one type differ. A struct whose fields have keys is compared field by
// field.
func appendChanges(list []schema.Change, key string, before, after reflect.Value) []schema.Change {
	if before.Kind() == reflect.Struct {
		for i := range before.NumField() {
			name, _, _ := strings.Cut(before.Type().Field(i).Tag.Get("yaml"), ",")
			if name != "" && name != "-" {
				list = appendChanges(list, strings.TrimPrefix(key+"."+name, "."), before.Field(i), after.Field(i))
			}
		}
		return list
	}
	if same(before.Interface(), after.Interface()) {
		return list
	}
	return append(list, schema.Change{Key: key, Before: shown(key, before), After: shown(key, after)})
}

// shown returns a value for the log, without secrets.
func shown(key string, v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	switch key {
	case "uri":
		text = ingest.RedactURI(text)
	case "ffmpeg_options":
		text = "***"
	}
	return schema.Clean(cmp.Or(text, `""`))
}
