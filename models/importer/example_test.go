package importer_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// A segmentation network in an ONNX file becomes an encoder-only bundle. The network here has 8 channels of features at
// stride 16 in front of its classifier.
func ExampleONNX() {
	folder, err := os.MkdirTemp("", "import-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	model, features, err := network() // usually an exported file; Netron shows the names of its tensors
	if err != nil {
		panic(err)
	}
	path := filepath.Join(folder, "net.onnx")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		panic(err)
	}

	r, err := importer.ONNX(path, nets.ForeignConfig{Features: features}, 32, importer.Options{
		Out: filepath.Join(folder, "mine"), Size: models.Size{Width: 128, Height: 64},
		Classes: []string{"road", "sky", "car", "rest"}, Program: "an example", Runner: ort.Runner{},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Name, r.Encoder.Channels, r.Encoder.Stride, r.Encoder.Classes, r.EncoderOnly())
	// Output: mine 8 16 [road sky car rest] true
}
