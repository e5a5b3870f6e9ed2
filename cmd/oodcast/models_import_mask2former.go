package main

import "github.com/oodcast/oodcast/models/importer"

// ImportMask2FormerCmd imports a Mask2Former of any size.
type ImportMask2FormerCmd struct {
	Weights  string `arg:"" name:"path" help:"Folder with model.safetensors or pytorch_model.bin, and config.json; or the file with the weights in it." placeholder:"PATH"`
	Features string `default:"pixel3@16" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, pixel1 to pixel4, masks." placeholder:"LIST"`
	importFlags
}

// Run writes the bundle.
func (c *ImportMask2FormerCmd) Run(e *env) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.Mask2Former(importer.Mask2FormerSource{Path: c.Weights, Features: c.Features}, opt)
	return c.report(e, r, err)
}
