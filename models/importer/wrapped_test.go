package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// Weights of a network that was trained in parallel, whose names begin with "module.", are those of the network.
func TestEfficientViTWrapped(t *testing.T) {
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		t.Skip("SKIPPED: OODCAST_DATA is not set, the published weights were not imported")
	}
	ts, _, err := checkpoint.OpenTorch(filepath.Join(data, "encoders", "efficientvit_seg_b0_cityscapes.pt"))
	if err != nil {
		t.Fatal(err)
	}
	wrapped := checkpoint.Tensors{}
	for name, x := range ts {
		one := *x
		one.Name = "module." + name
		wrapped[one.Name] = &one
	}
	raw, err := checkpoint.MarshalSafetensors(wrapped, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "wrapped.safetensors")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := importer.EfficientViT(path, nets.DefaultFeatures, options(t))
	if err != nil || r.Encoder.Channels == 0 {
		t.Errorf("EfficientViT() = %+v, %v", r, err)
	}
}
