package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/oodcast/oodcast/models"
)

// Runner runs encoder graphs. An import needs it once or twice.
type Runner interface {
	// Run prepares model and calls f with the function that runs it; the function is valid until f returns.
	Run(model []byte, f func(models.EncodeFunc) error) error
}

// Options describe the bundle that an import writes.
type Options struct {
	Out     string      // folder of the new bundle
	Name    string      // of the bundle; "" takes the folder's name in lower case
	Size    models.Size // working size
	Classes []string    // names in the order of the logits; none takes Cityscapes' for 19 classes, else "class 0" and so on
	Program string      // what makes the bundle, for its provenance, such as "oodcast 1.2"
	Runner  Runner
}

// Result is a bundle that has been written.
type Result struct {
	models.Manifest
	Summary string // of the network, in a few words
}

// InputError is a fault of what the caller brought: weights of another network, a tensor that is not there, a size that
// does not fit.
type InputError struct{ err error }

func (e *InputError) Error() string { return e.err.Error() }
func (e *InputError) Unwrap() error { return e.err }

// badInput wraps a fault of the file at path.
func badInput(path string, err error) error {
	return &InputError{fmt.Errorf("import %q: %w", path, err)}
}

// network is an encoder that has been built.
type network struct {
	source  string // the file with the weights
	model   []byte // encoder.onnx
	spec    models.EncoderSpec
	classes int
	summary string
}

// write computes the golden outputs and writes the bundle.
func (o Options) write(n network) (*Result, error) {
	m, err := o.manifest(n)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(n.source)
	if err != nil {
		return nil, fmt.Errorf("import %q: %w", n.source, err)
	}
	sum := sha256.Sum256(raw)
	m.Provenance = map[string]any{
		"weights": filepath.Base(n.source), "weights_sha256": hex.EncodeToString(sum[:]), "program": o.Program,
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
	files := map[string][]byte{models.EncoderFile: n.model, models.GoldenFile: golden, models.CardFile: card}
	if err := models.Write(o.Out, m, files); err != nil {
		return nil, err
	}
	return &Result{Manifest: m, Summary: n.summary}, nil
}

// manifest describes the bundle.
func (o Options) manifest(n network) (models.Manifest, error) {
	m := models.DefaultManifest()
	m.Name = o.Name
	if m.Name == "" {
		m.Name = strings.ToLower(filepath.Base(filepath.Clean(o.Out)))
	}
	m.Encoder = n.spec
	m.Encoder.Size = o.Size
	switch {
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
	return m, nil
}

// golden returns golden.json.
func (o Options) golden(model []byte, multiple int) ([]byte, error) {
	var raw []byte
	err := o.Runner.Run(model, func(encode models.EncodeFunc) error {
		g, err := models.NewGolden(encode, multiple)
		if err == nil {
			raw, err = g.Marshal()
		}
		return err
	})
	return raw, err
}
