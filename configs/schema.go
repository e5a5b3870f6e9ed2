package configs

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/pipeline/queue"
)

// Schema returns a JSON Schema (draft 2020-12) of the configuration file, for editors: every key with its type, its
// default and its comment in default.yaml.
func Schema() ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(ExampleYAML(), &doc); err != nil {
		return nil, fmt.Errorf("default.yaml: %w", err)
	}
	root := schemaOf(reflect.TypeFor[Config](), reflect.ValueOf(Default()), doc.Content[0], "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "oodcast"
	root["patternProperties"] = map[string]any{"^x-": map[string]any{"description": "A place for anchors; its content is ignored."}}
	delete(root, "default")
	return json.MarshalIndent(root, "", "  ")
}

// commented matches a commented-out key in default.yaml. noCameras matches the empty list of cameras, whose example entry is
// commented out.
var (
	commented = regexp.MustCompile(`(?m)^( *)# ( *(?:- )?[a-z_]+:(?: .*)?)$`)
	noCameras = regexp.MustCompile(`(?m)^cameras: \[\]$`)
)

// ExampleYAML returns default.yaml with its commented-out keys enabled: an example camera and the keys without a default.
func ExampleYAML() []byte {
	raw := noCameras.ReplaceAll(DefaultYAML(), []byte("cameras:"))
	return commented.ReplaceAll(raw, []byte("$1$2"))
}

// values returns the allowed values of the key at path if it has a fixed set; nil otherwise.
func values(path string) []any {
	switch path {
	case "provider.name":
		return []any{ort.CPU, ort.CUDA, ort.TensorRT}
	case "detector.part", "cameras[].detector.part":
		return []any{detector.PartCompound, detector.PartDiffusion, detector.PartLSE, detector.PartUnclaimed}
	case "publish.encoding":
		return []any{"u8", "u16"}
	case "events.categories[]", "events.zones[].categories[]", "cameras[].events.categories[]", "cameras[].events.zones[].categories[]":
		var all []any
		for _, k := range events.Categories() {
			all = append(all, k)
		}
		return all
	case "preview.passthrough":
		return []any{"auto", "off"}
	case "cameras[].overflow":
		return []any{"auto", queue.DropOldest, queue.DropLatest, queue.Wait}
	}
	return nil
}

// duration matches the strings that time.ParseDuration accepts.
const duration = `^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// schemaOf returns the schema of t with the default def (invalid: none) and the comments of node (nil: none).
func schemaOf(t reflect.Type, def reflect.Value, node *yaml.Node, path string) map[string]any {
	s := map[string]any{}
	if all := values(path); all != nil {
		s["enum"] = all
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		s["anyOf"] = []any{map[string]any{"type": "string", "pattern": duration}, map[string]any{"const": 0}}
	case t == reflect.TypeFor[detector.Timesteps]():
		s["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"const": "auto"}}
	case t == reflect.TypeFor[Override[detector.Config]](): // the keys of the section, without defaults
		return overrideSchema(reflect.TypeFor[detector.Config](), "detector", path)
	case t == reflect.TypeFor[Override[events.Config]]():
		return overrideSchema(reflect.TypeFor[events.Config](), "events", path)
	case reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()):
		return s // the type's own code checks it
	case t.Kind() == reflect.Struct:
		return structSchema(t, def, node, path)
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		s["type"] = "array"
		if t.Kind() == reflect.Array {
			s["minItems"], s["maxItems"] = t.Len(), t.Len()
		}
		var first *yaml.Node
		if node != nil && len(node.Content) > 0 {
			first = node.Content[0]
		}
		s["items"] = schemaOf(t.Elem(), defaultOf(t.Elem()), first, path+"[]")
		return s
	case t.Kind() == reflect.Bool:
		s["type"] = "boolean"
	case t.Kind() == reflect.String:
		s["type"] = "string"
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		s["type"] = "number"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		s["type"] = "integer"
	}
	if def.IsValid() {
		s["default"] = def.Interface()
		if d, ok := def.Interface().(time.Duration); ok {
			s["default"] = d.String()
		}
	}
	return s
}

// defaultOf returns the defaults of a list element; invalid if it has none.
func defaultOf(t reflect.Type) reflect.Value {
	v := reflect.New(t)
	if d, ok := v.Interface().(defaulter); ok {
		d.setDefaults()
		return v.Elem()
	}
	return reflect.Value{}
}

func structSchema(t reflect.Type, def reflect.Value, node *yaml.Node, path string) map[string]any {
	properties := map[string]any{}
	for _, f := range fields(t) {
		var d reflect.Value
		if def.IsValid() {
			d = def.FieldByIndex(f.index)
		}
		text, sub := comment(node, f.key)
		p := schemaOf(f.typ, d, sub, join(path, f.key))
		if text != "" {
			p["description"] = text
		}
		properties[f.key] = p
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if t == reflect.TypeFor[Camera]() {
		s["required"] = []string{"uri"}
	}
	return s
}

// overrideSchema returns the schema of a camera's override of a section.
func overrideSchema(t reflect.Type, section, path string) map[string]any {
	var doc yaml.Node
	_ = yaml.Unmarshal(ExampleYAML(), &doc) // cannot fail: Schema has parsed it before
	_, node := comment(doc.Content[0], section)
	return structSchema(t, reflect.Value{}, node, path)
}

// comment returns the comment on a key of a mapping, and the key's value; both are empty if the mapping lacks the key.
func comment(node *yaml.Node, key string) (text string, val *yaml.Node) {
	if node == nil {
		return "", nil
	}
	for k, v := range pairs(node) {
		if k.Value != key {
			continue
		}
		for _, c := range []string{v.LineComment, k.LineComment, k.HeadComment} {
			if c != "" {
				c = strings.ReplaceAll(strings.TrimPrefix(c, "# "), "\n# ", " ")
				return c, v
			}
		}
		return "", v
	}
	return "", nil
}
