package main

import (
	"fmt"
	"os"

	"github.com/oodcast/oodcast/configs"
)

// ConfigCmd groups the verbs about configuration files.
type ConfigCmd struct {
	Check    ConfigCheckCmd    `cmd:"" help:"Report every fault in a configuration file."`
	Defaults ConfigDefaultsCmd `cmd:"" help:"Print every key with its default and a comment."`
	Print    ConfigPrintCmd    `cmd:"" help:"Print the effective configuration, the file with the environment applied; secrets are hidden."`
	Schema   ConfigSchemaCmd   `cmd:"" help:"Print a JSON Schema of the file, for editors."`
}

// ConfigCheckCmd checks a file.
type ConfigCheckCmd struct {
	File string `arg:"" help:"Configuration file."`
}

// Run prints "ok" or fails with every fault.
func (c *ConfigCheckCmd) Run(e *env) error {
	cfg, err := configs.Read(c.File, os.Environ(), nil)
	if err != nil {
		return err
	}
	for _, warning := range configs.Exposed(c.File) {
		e.Log.Warn("permissions", "warning", warning)
	}
	cameras := "1 camera"
	if n := len(cfg.Cameras); n != 1 {
		cameras = fmt.Sprintf("%d cameras", n)
	}
	_, err = fmt.Fprintf(e.Stdout, "%s: ok, %s\n", c.File, cameras)
	return err
}

// ConfigDefaultsCmd prints the defaults.
type ConfigDefaultsCmd struct{}

// Run prints default.yaml.
func (ConfigDefaultsCmd) Run(e *env) error {
	_, err := e.Stdout.Write(configs.DefaultYAML())
	return err
}

// ConfigPrintCmd prints the configuration that run would use.
type ConfigPrintCmd struct {
	File string `arg:"" optional:"" help:"Configuration file. Default: the defaults alone."`
}

// Run prints YAML.
func (c *ConfigPrintCmd) Run(e *env) error {
	cfg, err := configs.Read(c.File, os.Environ(), nil)
	if err != nil {
		return err
	}
	out, err := configs.Print(cfg)
	if err == nil {
		_, err = e.Stdout.Write(out)
	}
	return err
}

// ConfigSchemaCmd prints the schema.
type ConfigSchemaCmd struct{}

// Run prints JSON.
func (ConfigSchemaCmd) Run(e *env) error {
	out, err := configs.Schema()
	if err == nil {
		_, err = fmt.Fprintf(e.Stdout, "%s\n", out)
	}
	return err
}
