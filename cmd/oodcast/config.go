package main

import (
	"fmt"

	"github.com/oodcast/oodcast/configs"
)

// ConfigCmd groups what concerns configuration files.
type ConfigCmd struct {
	Check    ConfigCheckCmd    `cmd:"" help:"Say what is wrong with a configuration file."`
	Defaults ConfigDefaultsCmd `cmd:"" help:"Print every key with its default and what it means."`
}

// ConfigCheckCmd checks a file.
type ConfigCheckCmd struct {
	File string `arg:"" help:"Configuration file."`
}

// Run prints "ok" or fails with every fault.
func (c *ConfigCheckCmd) Run(e *env) error {
	cfg, err := configs.Load(c.File)
	if err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	_, err = fmt.Fprintf(e.Stdout, "%s: ok, %d cameras\n", c.File, len(cfg.Cameras))
	return err
}

// ConfigDefaultsCmd prints the defaults.
type ConfigDefaultsCmd struct{}

// Run prints default.yaml.
func (ConfigDefaultsCmd) Run(e *env) error {
	_, err := e.Stdout.Write(configs.DefaultYAML())
	return err
}
