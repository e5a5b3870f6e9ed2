package ort

import (
	"errors"
	"fmt"
	"runtime"
)

// Config says what computes. It is the section provider of the configuration file.
type Config struct {
	// Name is cpu, cuda or tensorrt. Default cpu.
	Name Provider `yaml:"name"`
	// Required makes start-up fail when the provider is not available, instead of falling back to the CPU. Default false.
	Required bool `yaml:"required"`
	// Threads of the CPU; 0 is one per core, MaxThreads the most. Default 0.
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

// MaxThreads returns the largest number of threads: four per core, but never less than 64 nor more than 1024. More threads
// compute nothing faster, and a session with thousands of them takes minutes to create.
func MaxThreads() int { return min(max(64, 4*runtime.NumCPU()), 1024) }

// CheckThreads reports a number of threads that no session accepts.
func CheckThreads(n int) error {
	if n < 0 || n > MaxThreads() {
		return fmt.Errorf("got %d, want 0 (one per core) to %d", n, MaxThreads())
	}
	return nil
}

// Validate reports every fault.
func (c Config) Validate() error {
	var errs []error
	switch c.Name {
	case CPU, CUDA, TensorRT:
	default:
		errs = append(errs, fmt.Errorf("name: got %q, want cpu, cuda or tensorrt", c.Name))
	}
	if err := CheckThreads(c.Threads); err != nil {
		errs = append(errs, fmt.Errorf("threads: %w", err))
	}
	if c.Device < 0 {
		errs = append(errs, fmt.Errorf("device: got %d, want 0 or more", c.Device))
	}
	return errors.Join(errs...)
}
