package main

import "github.com/oodcast/oodcast/models/importer"

// ImportResNetCmd imports a ResNet of any depth and width.
type ImportResNetCmd struct {
	Checkpoint string `arg:"" help:"Weights, as torch.save wrote them or safetensors, under the names of torchvision or timm." placeholder:"CKPT"`
	Features   string `default:"stage3@16" help:"Stages that become the features, NAME@STRIDE,...: stage1 to stage4. stage4@16 and stage3@8 dilate instead of halving the resolution." placeholder:"LIST"`
	importFlags
}

// Run writes the bundle.
func (c *ImportResNetCmd) Run(e *env) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.ResNet(c.Checkpoint, c.Features, opt)
	return c.report(e, r, err)
}

// ImportESPNetV2Cmd imports an ESPNetv2 segmentation network of any width.
type ImportESPNetV2Cmd struct {
	Checkpoint string `arg:"" help:"Weights of the authors' EdgeNets, as torch.save wrote them or safetensors." placeholder:"CKPT"`
	Features   string `default:"stage4@16" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, decoder1 to decoder3." placeholder:"LIST"`
	importFlags
}

// Run writes the bundle.
func (c *ImportESPNetV2Cmd) Run(e *env) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.ESPNetV2(c.Checkpoint, c.Features, opt)
	return c.report(e, r, err)
}
