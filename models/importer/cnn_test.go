package importer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/importer"
)

// goldenWeights writes weights with the names and shapes of a network that an oracle has recorded.
func goldenWeights(t *testing.T, file, net string) string {
	t.Helper()
	_, meta, err := checkpoint.ReadSafetensors(filepath.Join("..", "nets", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var shapes map[string][]int
	if err := json.Unmarshal([]byte(meta[net]), &shapes); err != nil {
		t.Fatal(err)
	}
	ts := checkpoint.Tensors{}
	for name, shape := range shapes {
		w := &checkpoint.Tensor{Name: name, Shape: shape}
		n := 1
		for _, d := range shape {
			n *= d
		}
		for i := range n {
			w.Data = append(w.Data, float32(1+i%3)/16)
		}
		ts[name] = w
	}
	raw, err := checkpoint.MarshalSafetensors(ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResNet(t *testing.T) {
	opt := options(t)
	r, err := importer.ResNet(goldenWeights(t, "resnet_golden.safetensors", "bottleneck"), "stage4@16", opt)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Encoder; e.Architecture != "resnet" || e.Channels != 2048 || e.Stride != 16 || !e.FeaturesOnly() {
		t.Errorf("ResNet() = %+v", e)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil || check.Difference != 0 {
		t.Errorf("CheckGolden() = %+v, %v", check, err)
	}
	if _, err := importer.ResNet(goldenWeights(t, "espnetv2_golden.safetensors", "small"), "", options(t)); err == nil ||
		!strings.Contains(err.Error(), "not the weights of a ResNet") {
		t.Errorf("weights of another network: %v", err)
	}
}

// The classes of an ESPNetv2 have names if it has as many as the authors' sets, or if the caller names them.
func TestESPNetV2(t *testing.T) {
	path := goldenWeights(t, "espnetv2_golden.safetensors", "small")
	opt := options(t)
	opt.Classes = []string{"a", "b", "c", "d", "e"}
	r, err := importer.ESPNetV2(path, "decoder1@16,stage3@16", opt)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Encoder; e.Architecture != "espnetv2" || e.Channels != 64+64 || e.LogitsStride != 8 || strings.Join(e.Classes, "") != "abcde" {
		t.Errorf("ESPNetV2() = %+v", e)
	}
	if _, err := importer.ESPNetV2(path, "stage5@32", options(t)); err == nil || !strings.Contains(err.Error(), "stage1 to stage4") {
		t.Errorf("unknown stage: %v", err)
	}
}
