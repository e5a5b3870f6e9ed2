package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// ModelsImportCmd makes encoder-only bundles.
type ModelsImportCmd struct {
	EfficientViTSeg ImportEfficientViTCmd `cmd:"" name:"efficientvit-seg" help:"EfficientViT segmentation weights (.pt or .safetensors)."`
	ONNX            ImportONNXCmd         `cmd:"" name:"onnx" help:"Any segmentation network in ONNX; name the tensor with the features."`
}

// importFlags are common to all imports.
type importFlags struct {
	Out     string   `required:"" help:"Folder of the new bundle." placeholder:"DIR"`
	Size    string   `default:"1024x512" help:"Working size, WIDTHxHEIGHT in pixels." placeholder:"WxH"`
	Name    string   `help:"Name of the bundle; the folder's name if absent." placeholder:"NAME"`
	Classes []string `help:"Names of the classes, in the order of the logits." placeholder:"NAME,..."`
	Library string   `env:"OODCAST_ORT_LIB" help:"ONNX Runtime's library." placeholder:"FILE"`
}

// ImportEfficientViTCmd imports EfficientViT-Seg in any width.
type ImportEfficientViTCmd struct {
	Checkpoint string `arg:"" help:"Weights, as torch.save wrote them or safetensors." placeholder:"CKPT"`
	Features   string `default:"head@16,stage3@16" help:"Tensors that become the features, NAME@STRIDE,...: stage1 to stage4, head, keys." placeholder:"LIST"`
	importFlags
}

// Run builds the graph, runs it once for the golden outputs, and writes the bundle.
func (c *ImportEfficientViTCmd) Run(e *env) error {
	weights, meta, err := readWeights(c.Checkpoint)
	if err != nil {
		return err
	}
	cfg, err := nets.InferEfficientViT(weights)
	if err != nil {
		return usagef("import %q: %w", c.Checkpoint, err)
	}
	if stated, ok := meta["config"]; ok {
		if cfg, err = cfg.WithMeta(stated); err != nil {
			return usagef("import %q: %w", c.Checkpoint, err)
		}
	}
	cfg.Features = c.Features
	if err := cfg.Validate(); err != nil {
		return usagef("import %q: %w", c.Checkpoint, err)
	}
	g, err := nets.EfficientViT(cfg, weights)
	if err != nil {
		return usagef("import %q: %w", c.Checkpoint, err)
	}
	model, err := g.Marshal()
	if err != nil {
		return err
	}
	m, err := c.manifest(cfg.Classes)
	if err != nil {
		return err
	}
	m.Encoder.Architecture = "efficientvit-seg"
	m.Encoder.Features = cfg.Features
	m.Encoder.Channels = cfg.Channels()
	m.Encoder.Stride = cfg.Stride()
	m.Encoder.LogitsStride = nets.LogitsStride
	return c.write(e, m, c.Checkpoint, model, fmt.Sprintf("%d parameters, widths %v, depths %v", weights.Params(), cfg.Widths,
		cfg.Depths))
}

func readWeights(path string) (checkpoint.Tensors, map[string]any, error) {
	if !strings.EqualFold(filepath.Ext(path), ".safetensors") {
		return checkpoint.OpenTorchMeta(path)
	}
	ts, _, err := checkpoint.ReadSafetensors(path)
	return ts, nil, err
}

// manifest fills in what the flags say about a network of so many classes.
func (f *importFlags) manifest(classes int) (models.Manifest, error) {
	m := models.DefaultManifest()
	m.Name = f.Name
	if m.Name == "" {
		m.Name = strings.ToLower(filepath.Base(filepath.Clean(f.Out)))
	}
	size, err := f.size()
	if err != nil {
		return m, err
	}
	m.Encoder.Size = size
	switch {
	case len(f.Classes) == classes:
		m.Encoder.Classes = f.Classes
	case len(f.Classes) > 0:
		return m, usagef("--classes: got %d names, the network has %d classes", len(f.Classes), classes)
	case classes == len(models.CityscapesClasses()):
		m.Encoder.Classes = models.CityscapesClasses()
	default:
		for i := range classes {
			m.Encoder.Classes = append(m.Encoder.Classes, fmt.Sprintf("class %d", i))
		}
	}
	return m, nil
}

// size reads --size.
func (f *importFlags) size() (models.Size, error) {
	w, h, err := parseSize(f.Size)
	return models.Size{Width: w, Height: h}, err
}

// write computes the golden outputs and writes the folder.
func (f *importFlags) write(e *env, m models.Manifest, source string, model []byte, what string) error {
	raw, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("import %q: %w", source, err)
	}
	sum := sha256.Sum256(raw)
	m.Provenance = map[string]any{
		"weights": filepath.Base(source), "weights_sha256": hex.EncodeToString(sum[:]), "program": "oodcast " + version,
	}
	golden, err := f.golden(model, m.Encoder.SizeMultiple())
	if err != nil {
		return fmt.Errorf("import %q: %w", source, err)
	}
	card, err := modelCard(m, what)
	if err != nil {
		return err
	}
	files := map[string][]byte{
		models.EncoderFile: model, models.GoldenFile: golden, models.CardFile: card,
	}
	if err := m.Validate(); err != nil {
		return usageError{err}
	}
	if err := models.Write(f.Out, m, files); err != nil {
		return err
	}
	fmt.Fprintf(e.Stdout, "wrote %s: %s, %s, %d features at stride %d, %d classes; next: oodcast fit --bundle %s\n",
		f.Out, m.Encoder.Architecture, what, m.Encoder.Channels, m.Encoder.Stride, len(m.Encoder.Classes), f.Out)
	return nil
}

func (f *importFlags) golden(model []byte, multiple int) ([]byte, error) {
	rt, err := ort.Open(f.Library)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rt.Close() }()
	s, err := ort.NewSession(model, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	g, err := models.NewGolden(encodeWith(s), multiple)
	if err != nil {
		return nil, err
	}
	return g.Marshal()
}

const cardText = `# {{.M.Name}}

The segmentation network below, and the denoiser that ` + "`oodcast fit`" + ` adds to it.

| | |
|---|---|
| architecture | {{.M.Encoder.Architecture}}: {{.What}} |
| weights | {{.M.Provenance.weights}}, sha256 {{.M.Provenance.weights_sha256}} |
| features | {{.M.Encoder.Features}}: {{.M.Encoder.Channels}} channels at stride {{.M.Encoder.Stride}} |
| working size | {{.M.Encoder.Size.Width}}×{{.M.Encoder.Size.Height}} |
| classes | {{range $i, $c := .M.Encoder.Classes}}{{if $i}}, {{end}}{{$c}}{{end}} |

The licence of the weights is that of their source.
`

func modelCard(m models.Manifest, what string) ([]byte, error) {
	t, err := template.New("card").Parse(cardText)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := t.Execute(&buf, struct {
		M    models.Manifest
		What string
	}{m, what}); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
