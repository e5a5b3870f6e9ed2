package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish/schema"
)

// Camera is one stream. Keys of ingest and of its queue that its entry leaves out have their defaults. Keys of bundle, detector and
// events that it leaves out have the values for all cameras.
type Camera struct {
	ingest.Config        `yaml:",inline"`
	pipeline.QueueConfig `yaml:",inline"`
	// User and Password are the camera's login, unencoded, for addresses that do not contain it. Default "": none.
	User     string `yaml:"user,omitempty"`
	Password string `yaml:"password,omitempty"`
	// Bundle scores this camera; "" stands for the bundle of all cameras. Default "".
	Bundle string `yaml:"bundle,omitempty"`
	// Detector holds the keys of detector that differ for this camera.
	Detector Override[detector.Config] `yaml:"detector,omitempty"`
	// Events holds the keys of events that differ for this camera.
	Events Override[events.Config] `yaml:"events,omitempty"`
}

// NewCamera returns the defaults.
func NewCamera() Camera {
	return Camera{Config: ingest.DefaultConfig(), QueueConfig: pipeline.DefaultQueueConfig()}
}

// Validate reports every fault of the camera's own keys.
func (c Camera) Validate() error {
	source := c.Config
	var fault error
	switch {
	case c.User == "" && c.Password != "":
		fault = errors.New("password: set, want user too")
	case c.User != "":
		login, err := ingest.WithLogin(c.URI, c.User, c.Password)
		if err != nil {
			fault = fmt.Errorf("user: %w", err)
			break
		}
		source.URI = login
	}
	if err := schema.CheckName(c.Name); err != nil && len(c.Name) > 63 { // ingest reports the other faults of a name
		fault = errors.Join(fmt.Errorf("name: %w", err), fault)
	}
	return errors.Join(source.Validate(), fault, c.QueueConfig.Validate())
}

// source returns the camera's own keys with its login in the address.
func (c Camera) source() ingest.Config {
	source := c.Config
	if login, err := ingest.WithLogin(c.URI, c.User, c.Password); err == nil && c.User != "" {
		source.URI = login
	}
	return source
}

func (c *Camera) setDefaults() { *c = NewCamera() }

// bundleOf returns the bundle that scores cam.
func (c *Config) bundleOf(cam Camera) string {
	if cam.Bundle != "" {
		return cam.Bundle
	}
	return c.Bundle
}

// detectorOf returns the effective detector configuration of cam: its own keys override the keys for all cameras.
func (c *Config) detectorOf(cam Camera) detector.Config {
	all := c.Detector
	if cam.Detector.has("timesteps") {
		all.List = nil // a number for this camera overrides a list for all
	}
	return cam.Detector.Over(all)
}

// eventsOf returns the effective event configuration of cam: its own keys override the keys for all cameras.
func (c *Config) eventsOf(cam Camera) events.Config { return cam.Events.Over(c.Events) }

// Override holds some of T's keys. The zero Override holds none.
type Override[T any] struct {
	node *yaml.Node
}

// keep checks that the node is a valid T and stores it.
func (o *Override[T]) keep(d *decoder, path string, node *yaml.Node) {
	var scratch T
	before := len(d.faults)
	d.value(path, node, reflect.ValueOf(&scratch).Elem())
	if len(d.faults) > before {
		return
	}
	added := plain(node)
	var names []string
	for key := range pairs(added) {
		names = append(names, key.Value)
	}
	if rest := o.Without(names...); rest.node != nil { // keys from the environment are added to keys from the file
		added.Content = append(rest.node.Content, added.Content...)
	}
	o.node = added
}

// plain copies a node that was read without a fault, and replaces aliases and merges by the content they refer to.
func plain(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return plain(node.Alias)
	}
	out := &yaml.Node{Kind: node.Kind, Style: node.Style, Tag: node.Tag, Value: node.Value, Line: node.Line}
	if node.Kind != yaml.MappingNode {
		for _, n := range node.Content {
			out.Content = append(out.Content, plain(n))
		}
		return out
	}
	own := map[string]bool{}
	for key := range pairs(node) {
		own[key.Value] = true
	}
	for key, val := range pairs(node) {
		if key.ShortTag() != "!!merge" {
			out.Content = append(out.Content, plain(key), plain(val))
			continue
		}
		for _, source := range merged(val) {
			for k, v := range pairs(plain(source)) {
				if !own[k.Value] {
					out.Content = append(out.Content, k, v)
					own[k.Value] = true // in a list of merges, the first has priority
				}
			}
		}
	}
	return out
}

// merged returns the mappings that the value of << refers to: one mapping, or a list of them.
func merged(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.SequenceNode {
		return node.Content
	}
	return []*yaml.Node{node}
}

// Over returns base with the override's keys applied.
func (o Override[T]) Over(base T) T {
	if o.node != nil {
		(&decoder{}).value("", o.node, reflect.ValueOf(&base).Elem())
	}
	return base
}

// Without returns the override without these keys, for keys that are set elsewhere with higher priority.
func (o Override[T]) Without(keys ...string) Override[T] {
	if o.node == nil || o.node.Kind != yaml.MappingNode {
		return o
	}
	rest := *o.node
	rest.Content = nil
	for key, val := range pairs(o.node) {
		if !slices.Contains(keys, key.Value) {
			rest.Content = append(rest.Content, key, val)
		}
	}
	return Override[T]{&rest}
}

func (o Override[T]) has(name string) bool {
	if o.node == nil {
		return false
	}
	for key := range pairs(o.node) {
		if key.Value == name {
			return true
		}
	}
	return false
}

// IsZero reports whether the override has no keys.
func (o Override[T]) IsZero() bool { return o.node == nil || len(o.node.Content) == 0 }

// MarshalYAML writes the keys in the form in which they were read.
func (o Override[T]) MarshalYAML() (any, error) { return o.node, nil }
