package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
)

// decoder reads YAML into structs over their existing values. It collects every fault with its path instead of stopping at
// the first one; a key with a fault keeps its previous value.
type decoder struct {
	faults []error
	quiet  bool // the values come from the environment: they have no line numbers and may be secret
	secret bool // the current value contains text from the environment
}

// defaulter is implemented by list elements that do not start from zero.
type defaulter interface{ setDefaults() }

// layer is implemented by types that store their node for later; see Override.
type layer interface {
	keep(d *decoder, path string, node *yaml.Node)
}

// decode reads raw over into, a pointer to a struct.
func decode(raw []byte, into any) []error {
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return []error{errors.New(oneLine(err))}
	}
	if len(doc.Content) == 0 {
		return nil
	}
	d := &decoder{}
	if dec.Decode(&more) == nil {
		d.fault("", &more, "want one document, without a second one after ---")
	}
	d.value("", doc.Content[0], reflect.ValueOf(into).Elem())
	return d.faults
}

func (d *decoder) fault(path string, node *yaml.Node, format string, args ...any) {
	if path == "" {
		path = "the file"
	}
	msg := path + ": " + fmt.Sprintf(format, args...)
	if !d.quiet && node.Line > 0 {
		msg += fmt.Sprintf(" (line %d)", node.Line)
	}
	d.faults = append(d.faults, errors.New(msg))
}

// value reads node into v. Null leaves v unchanged.
func (d *decoder) value(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode && !d.quiet && strings.Contains(node.Value, "${") {
		text, err := expand(node.Value)
		if err != nil {
			d.fault(path, node, "%v", err)
			return
		}
		defer func() { d.secret = false }()
		d.secret = true
		line := node.Line
		if node = (&yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: line}); v.Kind() == reflect.String {
			node.Tag = "!!str" // even if it looks like a number
		}
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" && (!d.quiet || v.Kind() != reflect.String) {
		return // in contrast, an empty environment variable is an empty string
	}
	if l, ok := v.Addr().Interface().(layer); ok {
		l.keep(d, path, node)
		return
	}
	_, own := v.Addr().Interface().(yaml.Unmarshaler)
	switch {
	case own:
		d.leaf(path, node, v)
	case v.Kind() == reflect.Struct:
		d.fields(path, node, v)
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		d.list(path, node, v)
	default:
		d.leaf(path, node, v)
	}
}

// fields reads a mapping into a struct: first its merges (<<), then its own keys.
func (d *decoder) fields(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind != yaml.MappingNode {
		d.fault(path, node, "want keys with values")
		return
	}
	seen := map[string]bool{}
	for key, val := range pairs(node) {
		if key.ShortTag() == "!!merge" {
			d.merge(path, val, v)
		}
	}
	for key, val := range pairs(node) {
		if key.ShortTag() == "!!merge" {
			continue
		}
		at := join(path, key.Value)
		field, ok := fieldOf(v, key.Value)
		switch {
		case path == "" && strings.HasPrefix(key.Value, "x-") && v.Type() == reflect.TypeFor[Config]():
			continue // a place for anchors
		case seen[key.Value]:
			d.fault(at, key, "duplicate key")
		case !ok:
			d.fault(at, key, "unknown key%s", suggest(key.Value, v.Type(), path))
		default:
			d.value(at, val, field)
		}
		seen[key.Value] = true
	}
}

// merge reads the value of <<: an anchor, or a list of anchors of which the first has priority.
func (d *decoder) merge(path string, node *yaml.Node, v reflect.Value) {
	for _, source := range slices.Backward(merged(node)) {
		if source.Kind == yaml.AliasNode {
			source = source.Alias
		}
		d.flat(path, source, v)
	}
}

// flat reads the keys of a merged mapping. It must not contain merges itself, because they could be recursive.
func (d *decoder) flat(path string, node *yaml.Node, v reflect.Value) {
	for key := range pairs(node) {
		if key.ShortTag() == "!!merge" {
			d.fault(path, key, "<< inside a mapping that << refers to")
			return
		}
	}
	d.fields(path, node, v)
}

func (d *decoder) list(path string, node *yaml.Node, v reflect.Value) {
	if node.Kind == yaml.ScalarNode { // from an environment variable: a list on one line
		var doc yaml.Node
		if yaml.Unmarshal([]byte(node.Value), &doc) == nil && len(doc.Content) == 1 {
			node = doc.Content[0]
		}
	}
	if node.Kind != yaml.SequenceNode {
		d.fault(path, node, "want a list")
		return
	}
	out := reflect.New(v.Type()).Elem()
	if v.Kind() == reflect.Slice && len(node.Content) > 0 { // an empty list stays nil, so that equal settings are equal values
		out.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	}
	if out.Len() != len(node.Content) {
		d.fault(path, node, "got %d values, want %d", len(node.Content), out.Len())
		return
	}
	for i, n := range node.Content {
		e := out.Index(i)
		if def, ok := e.Addr().Interface().(defaulter); ok {
			def.setDefaults()
		}
		d.value(fmt.Sprintf("%s[%d]", path, i), n, e)
	}
	v.Set(out)
}

func (d *decoder) leaf(path string, node *yaml.Node, v reflect.Value) {
	into := reflect.New(v.Type())
	err := node.Decode(into.Interface())
	truncated := v.CanInt() && node.ShortTag() == "!!float" // the parser would read 1.5 as 1
	if err == nil && !truncated {
		v.Set(into.Elem())
		return
	}
	want := wanted(v.Type())
	if want == "" {
		d.fault(path, node, "%s", oneLine(err))
		return
	}
	got := ""
	if node.Kind == yaml.ScalarNode && !d.quiet && !d.secret {
		got = fmt.Sprintf("got %q, ", node.Value)
	}
	d.fault(path, node, "%swant %s", got, want)
}

// wanted describes the values that a type accepts; it is empty for types that report their own errors.
func wanted(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[yaml.Unmarshaler]()):
		return ""
	case t == reflect.TypeFor[detector.Timesteps]():
		return "a whole number or auto"
	case t == reflect.TypeFor[time.Duration]():
		return "a time such as 500ms, 10s or 5m"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number"
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "a number"
	}
	return ""
}

// pairs yields the keys and values of a mapping.
func pairs(node *yaml.Node) func(yield func(key, val *yaml.Node) bool) {
	return func(yield func(key, val *yaml.Node) bool) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], node.Content[i+1]) {
				return
			}
		}
	}
}

// fieldOf returns the field of a struct that the key names, inlined structs included.
func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		name, inline := keyOf(v.Type().Field(i))
		if inline {
			if f, ok := fieldOf(v.Field(i), key); ok {
				return f, true
			}
		}
		if name == key && key != "" {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// keyOf returns the key of a struct's field, or that the field is inlined. Both results are empty for a field that is not
// part of the configuration.
func keyOf(f reflect.StructField) (name string, inline bool) {
	tag, ok := f.Tag.Lookup("yaml")
	if !ok || tag == "-" || !f.IsExported() {
		return "", false
	}
	name, options, _ := strings.Cut(tag, ",")
	return name, strings.Contains(options, "inline")
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// oneLine joins the parser's list of faults into one line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}
