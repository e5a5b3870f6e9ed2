package configs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "OODCAST_"

// ApplyEnv puts environment variables over c: OODCAST_PREVIEW__TOKEN=… sets preview.token, OODCAST_BUNDLE=… sets bundle.
// environ is as os.Environ returns it. A key that nobody knows is an error that names the variable.
func (c *Config) ApplyEnv(environ []string) error {
	environ = slices.Sorted(slices.Values(environ)) // so that faults come in the same order
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		key, ours := strings.CutPrefix(name, envPrefix)
		path := strings.Split(strings.ToLower(key), "__")
		if !ours || len(path) == 1 && path[0] != "bundle" { // OODCAST_ORT_LIB and others are not configuration
			continue
		}
		node := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
		for _, token := range slices.Backward(path) {
			node = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
				{Kind: yaml.ScalarNode, Value: token}, node,
			}}
		}
		raw, err := yaml.Marshal(node)
		if err == nil {
			err = decode(raw, c)
		}
		if err != nil { // without the value: it may be a secret
			return fmt.Errorf("%w: environment variable %s: no such key, or not a value for it", ErrInvalid, name)
		}
	}
	return nil
}
