package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"github.com/oodcast/oodcast/models"
)

// Runner runs encoder graphs. An import needs it once or twice.
type Runner interface {
	// Run prepares model and calls f with the function that runs it; the function is valid until f returns.
	Run(model []byte, f func(models.EncodeFunc) error) error
	// RunBeside is Run for a model that keeps weights in files of a folder, with one copy of them in memory.
	RunBeside(model []byte, folder string, f func(models.EncodeFunc) error) error
}

// Options describe the bundle that an import writes.
type Options struct {
	// Out is the folder of the new bundle.
	Out string
	// Name is the name of the bundle; "" stands for [models.NameOf] the folder.
	Name string
	// Size is the working size.
	Size models.Size
	// Round makes a working size that the network cannot have the nearest smaller one; otherwise it is an error.
	Round bool
	// Classes are the names of the classes in the order of the logits. Empty stands for the Cityscapes classes if the
	// network has 19 classes, and for "class 0", "class 1", … otherwise. A network without class scores has none.
	Classes []string
	// Program is the program that makes the bundle, for the provenance, such as "oodcast 1.2".
	Program string
	// Runner runs the network.
	Runner Runner
}

// Result describes the bundle that an import has written.
type Result struct {
	models.Manifest
	Summary string // describes the network in a few words
}

// InputError is a fault in the caller's input: weights of another network, a missing tensor, an unsuitable size.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// badInput returns an InputError about the file at path.
func badInput(path string, err error) error {
	return &InputError{fmt.Errorf("import %q: %w", path, err)}
}

// network is an encoder that is ready to be written.
type network struct {
	source  string   // the file with the weights
	beside  []string // other files with weights, relative to the folder of source
	with    []string // the weights of companions
	model   weighted // encoder.onnx
	spec    models.EncoderSpec
	classes int // 0: the network knows features only
	summary string
	about   map[string]string // further provenance under the keys of package models, as far as it is known

	denoiser     *models.DenoiserConfig // of a network that comes with its denoiser; else nil
	denoiserFile models.Content         // denoiser.safetensors
}

// write computes the golden outputs of a network and writes the bundle.
func (o Options) write(n network) (*Result, error) {
	m, err := o.manifest(n)
	if err != nil {
		return nil, err
	}
	if m.Provenance, err = n.provenance(); err != nil {
		return nil, fmt.Errorf("import %q: %w", n.source, err)
	}
	m.Provenance["program"] = o.Program
	for key, text := range n.about {
		m.Provenance[key] = text
	}
	golden, err := o.golden(n.model, m.Encoder.SizeMultiple())
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", n.source, err)
	}
	card, err := modelCard(m, n.summary)
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", n.source, err)
	}
	if err := m.Validate(); err != nil {
		return nil, &InputError{err}
	}
	files := map[string]models.Content{
		models.EncoderFile: n.model.write, models.GoldenFile: models.Bytes(golden), models.CardFile: models.Bytes(card),
	}
	if n.denoiser != nil {
		files[models.DenoiserFile] = n.denoiserFile
	}
	if err := models.WriteContents(o.Out, m, files); err != nil {
		return nil, err
	}
	return &Result{Manifest: m, Summary: n.summary}, nil
}

// provenance returns the names and checksums of the files with the weights.
func (n network) provenance() (map[string]any, error) {
	sum, err := fileSum(n.source)
	if err != nil {
		return nil, err
	}
	p := map[string]any{"weights": filepath.Base(n.source), "weights_sha256": sum}
	sums := map[string]string{}
	for _, name := range n.beside {
		if sums[name], err = fileSum(filepath.Join(filepath.Dir(n.source), name)); err != nil {
			return nil, err
		}
	}
	files := slices.Clone(n.with)
	for _, path := range append([]string{n.source}, n.with...) {
		more, err := parts(path)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	for _, path := range files {
		if sums[filepath.Base(path)], err = fileSum(path); err != nil {
			return nil, err
		}
	}
	if len(sums) > 0 {
		p["weights_files"] = sums
	}
	return p, nil
}

// fileSum returns the SHA-256 of a file.
func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// manifest returns the manifest of the bundle, without provenance.
func (o Options) manifest(n network) (models.Manifest, error) {
	m := models.DefaultManifest()
	m.Name = o.Name
	if m.Name == "" {
		m.Name = models.NameOf(o.Out)
	}
	m.Encoder = n.spec
	m.Encoder.Size = o.Size
	if unit := m.Encoder.SizeMultiple(); o.Round {
		m.Encoder.Size = models.Size{Width: o.Size.Width / unit * unit, Height: o.Size.Height / unit * unit}
	}
	switch {
	case n.classes == 0 && len(o.Classes) == 0:
		m.Encoder.Classes = []string{}
	case len(o.Classes) == n.classes:
		m.Encoder.Classes = o.Classes
	case len(o.Classes) > 0:
		return m, &InputError{fmt.Errorf("--classes: got %d names, the network has %d classes", len(o.Classes), n.classes)}
	case n.classes == len(models.CityscapesClasses()):
		m.Encoder.Classes = models.CityscapesClasses()
	default:
		for i := range n.classes {
			m.Encoder.Classes = append(m.Encoder.Classes, fmt.Sprintf("class %d", i))
		}
	}
	if m.Encoder.Unclaimed || m.Encoder.FeaturesOnly() {
		m.Compound = models.SizedCompound()
	}
	if n.denoiser != nil {
		published(&m, n.denoiser)
	}
	return m, nil
}

// golden runs the encoder and returns golden.json.
func (o Options) golden(model weighted, multiple int) ([]byte, error) {
	var raw []byte
	err := o.run(model, func(encode models.EncodeFunc) error {
		g, err := models.NewGolden(encode, multiple)
		if err == nil {
			raw, err = g.Marshal()
		}
		return err
	})
	return raw, err
}

// run runs a model. The runtime makes its own copies of the weights, so those that making the model left are freed first.
func (o Options) run(m weighted, f func(models.EncodeFunc) error) error {
	debug.FreeOSMemory()
	if m.folder != "" {
		return o.Runner.RunBeside(m.model, m.folder, f)
	}
	return o.Runner.Run(m.model, f)
}
