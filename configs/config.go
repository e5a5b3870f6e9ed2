package configs

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/preview"
)

// ErrInvalid is wrapped by every error about the content of a configuration.
var ErrInvalid = errors.New("configuration")

//go:embed default.yaml
var files embed.FS // go:embed needs a package variable

// Config is a whole configuration.
type Config struct {
	// Bundle is the name of an embedded bundle or the path of a folder. Default roadscene.
	Bundle string `yaml:"bundle"`
	// Provider says what computes.
	Provider Provider `yaml:"provider"`
	// Detector holds |T|, threshold and working size.
	Detector detector.Config `yaml:"detector"`
	// Events says when a region above the threshold becomes an event.
	Events detector.TrackerConfig `yaml:"events"`
	// Publish is where maps and events go.
	Publish publish.Config `yaml:"publish"`
	// Preview is the page, the WebRTC preview and the API.
	Preview preview.Config `yaml:"preview"`
	// Cameras are the streams to watch; each needs name and uri.
	Cameras []Camera `yaml:"cameras"`
}

// Camera is one stream. What its entry leaves out has ingest's defaults.
type Camera struct {
	ingest.Config `yaml:",inline"`
}

// UnmarshalYAML reads an entry over the defaults.
func (c *Camera) UnmarshalYAML(node *yaml.Node) error {
	c.Config = ingest.DefaultConfig()
	raw, err := yaml.Marshal(node) // a node's own Decode would accept unknown keys
	if err != nil {
		return err
	}
	if err := decode(raw, &c.Config); err != nil {
		return fmt.Errorf("camera at line %d: %s", node.Line, oneLine(err))
	}
	return nil
}

// Provider says what computes.
type Provider struct {
	// Name is cpu, cuda or tensorrt. Default cpu.
	Name ort.Provider `yaml:"name"`
	// Required makes start-up fail when the provider is not available, instead of falling back to the CPU. Default false.
	Required bool `yaml:"required"`
	// Threads of the CPU; 0 is one a core. Default 0.
	Threads int `yaml:"threads"`
	// Device is the number of the GPU. Default 0.
	Device int `yaml:"device"`
}

// Options are the provider as package ort takes it.
func (p Provider) Options() ort.Options {
	return ort.Options{Provider: p.Name, Required: p.Required, Threads: p.Threads, DeviceID: p.Device}
}

// Validate reports every fault.
func (p Provider) Validate() error {
	var errs []error
	switch p.Name {
	case ort.CPU, ort.CUDA, ort.TensorRT:
	default:
		errs = append(errs, fmt.Errorf("name: got %q, want cpu, cuda or tensorrt", p.Name))
	}
	if p.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: got %d, want 0 (one a core) or more", p.Threads))
	}
	if p.Device < 0 {
		errs = append(errs, fmt.Errorf("device: got %d, want 0 or more", p.Device))
	}
	return errors.Join(errs...)
}

// Default returns the defaults, without a camera.
func Default() Config {
	return Config{
		Bundle:   models.Default,
		Provider: Provider{Name: ort.CPU},
		Detector: detector.DefaultConfig(),
		Events:   detector.DefaultTrackerConfig(),
		Publish:  publish.DefaultConfig(),
		Preview:  preview.DefaultConfig(),
	}
}

// DefaultYAML returns default.yaml: every key with its default and a comment.
func DefaultYAML() []byte {
	raw, err := files.ReadFile("default.yaml")
	if err != nil {
		panic(err) // it is embedded
	}
	return raw
}

// Load reads the file at path over the defaults.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c, err := Parse(raw)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads YAML over the defaults. Keys that nobody knows are errors; values are not judged, see [Config.Validate].
func Parse(raw []byte) (Config, error) {
	c := Default()
	if err := decode(raw, &c); err != nil {
		return Config{}, fmt.Errorf("%w: %s", ErrInvalid, oneLine(err))
	}
	return c, nil
}

func decode(raw []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// oneLine turns the decoder's list of faults into one line.
func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
}
