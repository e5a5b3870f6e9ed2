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

// ApplyEnv applies environment variables to c: OODCAST_PREVIEW__TOKEN=… sets preview.token, OODCAST_BUNDLE=… sets bundle,
// OODCAST_CAMERAS__FRONT__URI=… sets the uri of the camera named front, OODCAST_CAMERAS__0__URI=… the uri of the first
// camera. environ has the form of os.Environ. A variable that does not name a key or holds an invalid value is an error.
func (c *Config) ApplyEnv(environ []string) error {
	var faults []error
	for _, kv := range slices.Sorted(slices.Values(environ)) { // sorted, so that the order of faults is fixed
		name, value, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		path := strings.Split(strings.ToLower(key), "__")
		if !ours {
			continue
		}
		if len(path) == 1 && path[0] != "bundle" { // OODCAST_ORT_LIB and others are not part of the configuration
			if meant := withDoubleUnderscore(key); meant != "" {
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

// applyVariable sets the key at path. Faults do not quote the value, because it may be a secret.
func (c *Config) applyVariable(path []string, value string) []error {
	d := &decoder{quiet: true}
	target := reflect.ValueOf(c).Elem()
	at := ""
	if path[0] == "cameras" && len(path) > 2 {
		i := slices.IndexFunc(c.Cameras, func(cam Camera) bool { return cam.Name == path[1] })
		if n, err := strconv.Atoi(path[1]); err == nil && n >= 0 && n < len(c.Cameras) { // a camera's name is never a number
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

// withDoubleUnderscore returns the variable that was probably meant, such as PREVIEW__TOKEN for PREVIEW_TOKEN; empty if key
// does not begin with the name of a section.
func withDoubleUnderscore(key string) string {
	for _, f := range fields(reflect.TypeFor[Config]()) {
		section := strings.ToUpper(f.key) + "_"
		if rest, ok := strings.CutPrefix(key, section); ok && f.typ.Kind() != reflect.String {
			return section + "_" + rest
		}
	}
	return ""
}
