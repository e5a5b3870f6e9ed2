package configs

import (
	"errors"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline"
)

// Camera is one stream. A key that its entry leaves out has its default; bundle, detector and events have what all cameras
// have.
type Camera struct {
	ingest.Config        `yaml:",inline"`
	pipeline.QueueConfig `yaml:",inline"`
	// Bundle scores this camera; "" takes the one for all. Default "".
	Bundle string `yaml:"bundle,omitempty"`
	// Detector are the keys of detector that are different for this camera.
	Detector Override[detector.Config] `yaml:"detector,omitempty"`
	// Events are the keys of events that are different for this camera.
	Events Override[events.Config] `yaml:"events,omitempty"`
}

// NewCamera returns the defaults.
func NewCamera() Camera {
	return Camera{Config: ingest.DefaultConfig(), QueueConfig: pipeline.DefaultQueueConfig()}
}

// Validate reports every fault of the camera's own keys.
func (c Camera) Validate() error { return errors.Join(c.Config.Validate(), c.QueueConfig.Validate()) }

func (c *Camera) setDefaults() { *c = NewCamera() }

// bundleOf returns the bundle that scores cam.
func (c *Config) bundleOf(cam Camera) string {
	if cam.Bundle != "" {
		return cam.Bundle
	}
	return c.Bundle
}

// detectorOf returns what is in force for cam: its own keys over those for all cameras.
func (c *Config) detectorOf(cam Camera) detector.Config {
	all := c.Detector
	if cam.Detector.has("timesteps") {
		all.List = nil // a number for this camera goes before a list for all
	}
	return cam.Detector.Over(all)
}

// eventsOf returns what is in force for cam: its own keys over those for all cameras.
func (c *Config) eventsOf(cam Camera) events.Config { return cam.Events.Over(c.Events) }

// Override holds some of T's keys. The zero Override holds none.
type Override[T any] struct {
	node *yaml.Node
}

// keep checks the node as a T and remembers it.
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
	if rest := o.Without(names...); rest.node != nil { // the environment adds to the file
		added.Content = append(rest.node.Content, added.Content...)
	}
	o.node = added
}

// plain copies a node that has been read without a fault, with what its aliases and merges stand for in their place.
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
					own[k.Value] = true // of a list, the first counts most
				}
			}
		}
	}
	return out
}

// merged returns the mappings that the value of << names: one, or a list of them.
func merged(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.SequenceNode {
		return node.Content
	}
	return []*yaml.Node{node}
}

// Over returns base with the override's keys in place of its own.
func (o Override[T]) Over(base T) T {
	if o.node != nil {
		(&decoder{}).value("", o.node, reflect.ValueOf(&base).Elem())
	}
	return base
}

// Without returns the override without these keys, for what is said with more weight elsewhere.
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

// IsZero reports that there is no key.
func (o Override[T]) IsZero() bool { return o.node == nil || len(o.node.Content) == 0 }

// MarshalYAML writes the keys as they were read.
func (o Override[T]) MarshalYAML() (any, error) { return o.node, nil }
