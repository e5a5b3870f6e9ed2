package main

import (
	"fmt"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/publish/visible"
)

// partFlags are the flags of the verbs that take bundles apart and put them together.
type partFlags struct {
	Weights []string `required:"" sep:"none" help:"Published weights of an EfficientNet-Lite, .pth or .safetensors. May be repeated." placeholder:"FILE"`
	Out     string   `required:"" help:"Folder to write." placeholder:"DIR"`
}

// ModelsStripCmd takes published weights out of a bundle.
type ModelsStripCmd struct {
	Bundle string `arg:"" help:"Name or folder of the bundle." placeholder:"BUNDLE"`
	partFlags
}

// Run writes the part.
func (c *ModelsStripCmd) Run(e *env) error {
	b, err := models.Open(c.Bundle)
	if err != nil {
		return err
	}
	taken, err := importer.Strip(b, c.Weights, c.Out)
	if err != nil {
		return importError(err)
	}
	fmt.Fprintf(e.Stdout, "wrote %s: %s without %.1f MB of published weights; oodcast models assemble puts them back\n",
		visible.Text(c.Out), visible.Text(b.Name), float64(taken)/1e6)
	return nil
}

// ModelsAssembleCmd puts published weights back.
type ModelsAssembleCmd struct {
	Part string `arg:"" help:"Folder that oodcast models strip wrote." placeholder:"DIR"`
	partFlags
}

// Run writes the bundle.
func (c *ModelsAssembleCmd) Run(e *env) error {
	m, err := importer.Assemble(c.Part, c.Weights, c.Out)
	if err != nil {
		return importError(err)
	}
	fmt.Fprintf(e.Stdout, "wrote %s: %s, checksums right\n", visible.Text(c.Out), visible.Text(m.Name))
	return nil
}
