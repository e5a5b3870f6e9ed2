package ort

import (
	"errors"
	"fmt"
)

// Config says what computes. It is the section provider of the configuration file.
type Config struct {
	// Name is cpu, cuda or tensorrt. Default cpu.
	Name Provider `yaml:"name"`
	// Required makes start-up fail when the provider is not available, instead of falling back to the CPU. Default false.
	Required bool `yaml:"required"`
	// Threads of the CPU; 0 is one per core. Default 0.
	Threads int `yaml:"threads"`
	// Device is the number of the GPU. Default 0.
	Device int `yaml:"device"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{Name: CPU} }

// Options returns the configuration as sessions take it.
func (c Config) Options() Options {
	return Options{Provider: c.Name, Required: c.Required, Threads: c.Threads, DeviceID: c.Device}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var errs []error
	switch c.Name {
	case CPU, CUDA, TensorRT:
	default:
		errs = append(errs, fmt.Errorf("name: got %q, want cpu, cuda or tensorrt", c.Name))
	}
	if c.Threads < 0 {
		errs = append(errs, fmt.Errorf("threads: got %d, want 0 (one per core) or more", c.Threads))
	}
	if c.Device < 0 {
		errs = append(errs, fmt.Errorf("device: got %d, want 0 or more", c.Device))
	}
	return errors.Join(errs...)
}
