package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "OODCAST_"

// ApplyEnv puts environment variables over c: OODCAST_PREVIEW__TOKEN=… sets preview.token, OODCAST_BUNDLE=… sets bundle,
// OODCAST_CAMERAS__FRONT__URI=… sets the uri of the camera named front. environ is as os.Environ returns it. Every
// variable that names no key, or holds no value for it, is an error.
func (c *Config) ApplyEnv(environ []string) error {
	var faults []error
	for _, kv := range slices.Sorted(slices.Values(environ)) { // so that faults come in the same order
		name, value, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		path := strings.Split(strings.ToLower(key), "__")
		if !ours || len(path) == 1 && path[0] != "bundle" { // OODCAST_ORT_LIB and others are not configuration
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
