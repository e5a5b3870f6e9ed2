package configs

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/archive"
	"github.com/oodcast/oodcast/publish/preview"
)

// ErrInvalid is wrapped by every error about the content of a configuration.
var ErrInvalid = errors.New("configuration")

//go:embed default.yaml
var files embed.FS // go:embed needs a package variable

// Config is the complete configuration.
type Config struct {
	// Bundle is the name of an installed or embedded bundle, or the path of a folder. Default roadscene.
	Bundle string `yaml:"bundle"`
	// Provider selects the hardware that computes the scores.
	Provider Provider `yaml:"provider"`
	// Detector holds |T|, threshold and working size.
	Detector detector.Config `yaml:"detector"`
	// Events determines when a region above the threshold becomes an event.
	Events events.Config `yaml:"events"`
	// Publish configures the NATS server that receives maps and events.
	Publish publish.Config `yaml:"publish"`
	// Archive configures where evidence of events is kept.
	Archive archive.Config `yaml:"archive"`
	// Outputs are further destinations for events and scores.
	Outputs Outputs `yaml:"outputs"`
	// Preview configures the page, the WebRTC preview and the API.
	Preview preview.Config `yaml:"preview"`
	// Cameras are the streams to watch; each needs name and uri.
	Cameras []Camera `yaml:"cameras"`
}

// Provider selects the hardware that computes the scores, and the frames that it processes together.
type Provider struct {
	ort.Config `yaml:",inline"`
	// Batch determines which frames are processed together.
	Batch pipeline.Batch `yaml:"batch"`
}

// Validate reports every fault.
func (p Provider) Validate() error { return errors.Join(p.Config.Validate(), p.Batch.Validate()) }

// Outputs are further destinations for events and scores.
type Outputs struct {
	// JSONL is a file to which one JSON line per event and score is appended; "-" is standard output. Default "": none.
	JSONL string `yaml:"jsonl"`
}

// Default returns the defaults, without a camera.
func Default() Config {
	return Config{
		Bundle:   models.Default,
		Provider: Provider{Config: ort.DefaultConfig(), Batch: pipeline.DefaultBatch()},
		Detector: detector.DefaultConfig(),
		Events:   events.DefaultConfig(),
		Publish:  publish.DefaultConfig(),
		Archive:  archive.DefaultConfig(),
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

// Read assembles the configuration: the file at path (none if empty) overrides the defaults, the environment (as os.Environ
// returns it) overrides the file, and flags overrides everything. Read reports the faults of all sources at once.
func Read(path string, environ []string, flags func(*Config) error) (Config, error) {
	c, err := Default(), error(nil)
	if path != "" {
		if c, err = Load(path); errors.As(err, new(*fs.PathError)) {
			return c, err // nothing was read
		}
	}
	faults := []error{err, c.ApplyEnv(environ)}
	if flags != nil {
		faults = append(faults, flags(&c))
	}
	err = c.Validate()
	if path != "" && err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return c, errors.Join(append(faults, err)...)
}

// Load reads the file at path over the defaults. If the content is faulty, it returns an error together with everything that
// could be read.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c, err := Parse(raw)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse reads YAML over the defaults. Unknown keys and values of the wrong kind are errors, all reported at once, each with
// its path; everything else is returned together with the error. Parse does not check the range of values, see
// [Config.Validate].
func Parse(raw []byte) (Config, error) {
	c := Default()
	return c, invalid(decode(raw, &c))
}

// invalid joins faults under ErrInvalid; it returns nil if there are none.
func invalid(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(faults...))
}
