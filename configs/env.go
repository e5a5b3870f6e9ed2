package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "OODCAST_"

// ApplyEnv puts environment variables over c: OODCAST_PREVIEW__TOKEN=… sets preview.token, OODCAST_BUNDLE=… sets bundle,
// OODCAST_CAMERAS__FRONT__URI=… sets the uri of the camera named front, OODCAST_CAMERAS__0__URI=… that of the first. environ is as os.Environ returns it. Every
// variable that names no key, or holds no value for it, is an error.
func (c *Config) ApplyEnv(environ []string) error {
	var faults []error
	for _, kv := range slices.Sorted(slices.Values(environ)) { // so that faults come in the same order
		name, value, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		path := strings.Split(strings.ToLower(key), "__")
		if !ours {
			continue
		}
		if len(path) == 1 && path[0] != "bundle" { // OODCAST_ORT_LIB and others are not configuration
			if meant := doubled(key); meant != "" {
				faults = append(faults, fmt.Errorf("environment variable %s: no such key, did you mean %s%s?", name, envPrefix, meant))
			}
			continue
		}
		for _, fault := range c.applyVariable(path, value) {
			faults = append(faults, fmt.Errorf("environment variable %s: %w", name, fault))
		}
	}
	return invalid(faults)
}

// applyVariable sets the key at path. Faults do not show the value: it may be a secret.
func (c *Config) applyVariable(path []string, value string) []error {
	d := &decoder{quiet: true}
	target := reflect.ValueOf(c).Elem()
	at := ""
	if path[0] == "cameras" && len(path) > 2 {
		i := slices.IndexFunc(c.Cameras, func(cam Camera) bool { return cam.Name == path[1] })
		if n, err := strconv.Atoi(path[1]); err == nil && n >= 0 && n < len(c.Cameras) { // no name is a number
			i = n
		}
		if i < 0 {
			return []error{fmt.Errorf("there is no camera %q", path[1])}
		}
		target, at, path = reflect.ValueOf(&c.Cameras[i]).Elem(), fmt.Sprintf("cameras[%d]", i), path[2:]
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	for _, token := range slices.Backward(path) {
		node = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			{Kind: yaml.ScalarNode, Value: token, Tag: "!!str"}, node,
		}}
	}
	d.value(at, node, target)
	return d.faults
}

// doubled returns the variable that PREVIEW_TOKEN was meant to be, PREVIEW__TOKEN; empty when it is like no key.
func doubled(key string) string {
	for _, f := range fields(reflect.TypeFor[Config]()) {
		section := strings.ToUpper(f.key) + "_"
		if rest, ok := strings.CutPrefix(key, section); ok && f.typ.Kind() != reflect.String {
			return section + "_" + rest
		}
	}
	return ""
}
