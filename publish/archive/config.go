package archive

import (
	"errors"
	"fmt"
	"time"
)

// Config is the operator's choice.
type Config struct {
	// Dir is the folder for evidence of events; empty: none. All other keys may change while the archive runs, see
	// [Archive.Configure]. Default empty.
	Dir string `yaml:"dir"`
	// ObjectStore also keeps evidence in the JetStream object store {prefix}_archive. Default false.
	ObjectStore bool `yaml:"object_store"`
	// MaxAge is the age at which evidence is removed; 0: never. Default 30 days.
	MaxAge time.Duration `yaml:"max_age"`
	// MaxMB bounds the evidence of all events together in each place, in millions of bytes; 0: no bound. Default 10000.
	MaxMB int `yaml:"max_mb"`
	// Clip is the film of an event.
	Clip ClipConfig `yaml:"clip"`
}

// ClipConfig describes the film of an event: VP8 in WebM, which browsers play.
type ClipConfig struct {
	// FPS is the largest number of frames per second, 0 … 30; 0: no films. Default 5.
	FPS float64 `yaml:"fps"`
	// Before and After are the time that a film shows before and after its event. Default 5s.
	Before time.Duration `yaml:"before"`
	After  time.Duration `yaml:"after"`
	// Max is the maximum length of a film. Default 1m.
	Max time.Duration `yaml:"max"`
	// Width is the maximum width of a film, in pixels. Default 640.
	Width int `yaml:"width"`
	// MemoryMB bounds the compressed frames in memory, per camera, in millions of bytes. Default 32.
	MemoryMB int `yaml:"memory_mb"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxAge: 30 * 24 * time.Hour, MaxMB: 10000,
		Clip: ClipConfig{
			FPS: 5, Before: 5 * time.Second, After: 5 * time.Second, Max: time.Minute, Width: 640, MemoryMB: 32,
		},
	}
}

// maxBytes returns MaxMB in bytes.
func (c Config) maxBytes() int64 { return int64(c.MaxMB) * 1e6 }

// Off reports whether nothing is kept.
func (c Config) Off() bool { return c.Dir == "" && !c.ObjectStore }

// films reports whether films are made.
func (c Config) films() bool { return !c.Off() && c.Clip.FPS > 0 }

// Validate returns every fault.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("archive.%s: got %v, want %s", key, got, want))
		}
	}
	check(c.MaxAge == 0 || c.MaxAge >= time.Minute, "max_age", c.MaxAge, "0 (for ever) or at least 1m")
	check(c.MaxMB >= 0, "max_mb", c.MaxMB, "0 (no bound) or more")
	check(c.Clip.FPS >= 0 && c.Clip.FPS <= 30, "clip.fps", c.Clip.FPS, "0 (no films) to 30")
	check(c.Clip.Before >= 0 && c.Clip.Before <= 5*time.Minute, "clip.before", c.Clip.Before, "0 to 5m")
	check(c.Clip.After >= 0 && c.Clip.After <= 5*time.Minute, "clip.after", c.Clip.After, "0 to 5m")
	check(c.Clip.Max >= time.Second && c.Clip.Max <= 30*time.Minute, "clip.max", c.Clip.Max, "1s to 30m")
	check(c.Clip.Width >= 64 && c.Clip.Width <= 4096, "clip.width", c.Clip.Width, "64 to 4096")
	check(c.Clip.MemoryMB >= 1, "clip.memory_mb", c.Clip.MemoryMB, "1 or more")
	return errors.Join(errs...)
}
