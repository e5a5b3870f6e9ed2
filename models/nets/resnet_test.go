package nets_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// goldenNetworks reads the slices that an oracle of the folder parity has written, and makes the weights of its networks by the
// oracles' formula.
func goldenNetworks(t *testing.T, file string) (golden checkpoint.Tensors, weights map[string]checkpoint.Tensors) {
	t.Helper()
	golden, meta, err := checkpoint.ReadSafetensors("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	weights = map[string]checkpoint.Tensors{}
	for net, text := range meta {
		var shapes map[string][]int
		if err := json.Unmarshal([]byte(text), &shapes); err != nil {
			t.Fatal(err)
		}
		weights[net] = checkpoint.Tensors{}
		for name, shape := range shapes {
			weights[net][name] = madeUp(name, shape)
		}
	}
	return golden, weights
}

// TestResNetGolden compares the stages at all output strides with those of torchvision and timm, in double precision, at two sizes.
func TestResNetGolden(t *testing.T) {
	golden, all := goldenNetworks(t, "resnet_golden.safetensors")
	for _, name := range golden.Names() {
		part := strings.Split(name, "/") // network, size, tap
		var w, h int
		if _, err := fmt.Sscanf(part[1], "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		cfg, err := nets.InferResNet(all[part[0]])
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimPrefix(part[0], "bottleneck"); cfg.Variant() != want {
			t.Errorf("%s: variant %q", part[0], cfg.Variant())
		}
		cfg.Features = part[2]
		g, err := nets.ResNet(cfg, all[part[0]])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := g.Marshal()
		got := encode(t, open(t, raw, err), models.GoldenImage(w, h), h, w, h, w)["features"]
		if want := []int64{1, int64(h / cfg.Stride()), int64(w / cfg.Stride()), int64(cfg.Channels())}; !slices.Equal(got.Shape(), want) {
			t.Errorf("%s has shape %v, want %v", name, got.Shape(), want)
		}
		data := ort.Data[float32](got)
		relative(t, name, every(data, max(1, len(data)/200)|1), golden[name].Data)
	}
	if len(golden) != 26 {
		t.Errorf("%d slices, want 26", len(golden))
	}
}

// The weights of a larger network whose encoder is a ResNet make the same encoder.
func TestResNetInside(t *testing.T) {
	_, all := goldenNetworks(t, "resnet_golden.safetensors")
	inside := checkpoint.Tensors{"classifier.4.weight": &checkpoint.Tensor{Name: "classifier.4.weight"}}
	for name, w := range all["bottleneck"] {
		inside["backbone."+name] = w
	}
	var models [][]byte
	for _, weights := range []checkpoint.Tensors{all["bottleneck"], inside} {
		cfg, err := nets.InferResNet(weights)
		if err != nil {
			t.Fatal(err)
		}
		g, err := nets.ResNet(cfg, weights)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, raw)
	}
	if !slices.Equal(models[0], models[1]) {
		t.Error("the encoder inside a larger network differs from the same alone")
	}
}

func TestResNetRefuses(t *testing.T) {
	_, all := goldenNetworks(t, "resnet_golden.safetensors")
	one := func(name string, shape ...int) checkpoint.Tensors {
		return checkpoint.Tensors{name: &checkpoint.Tensor{Name: name, Shape: shape}}
	}
	for _, tt := range []struct {
		name, features string
		edit           func(checkpoint.Tensors)
		want           string
	}{
		{"another network", "", func(ts checkpoint.Tensors) { clear(ts); maps.Copy(ts, one("x.y")) }, `"layer1.0.conv1.weight" is missing; the file holds ["x.y"]`},
		{"deep stem", "", func(ts checkpoint.Tensors) { maps.Copy(ts, one("conv1.0.weight", 32, 3, 3, 3)) }, "ResNet-D"},
		{"three stages", "", func(ts checkpoint.Tensors) {
			maps.DeleteFunc(ts, func(n string, _ *checkpoint.Tensor) bool { return strings.HasPrefix(n, "layer4.") })
		}, "resnet.depths: got [1 2 1 0], want four numbers"},
		{"squeeze and excitation", "", func(ts checkpoint.Tensors) { maps.Copy(ts, one("layer1.0.se.fc1.weight", 8, 256, 1, 1)) }, `does not use the weights "layer1.0.se.fc1.weight"`},
		{"no statistics", "", func(ts checkpoint.Tensors) { delete(ts, "layer2.0.bn2.running_var") }, `no tensor "layer2.0.bn2.running_var"`},
		{"shape", "", func(ts checkpoint.Tensors) { maps.Copy(ts, one("layer2.0.conv3.weight", 512, 7, 1, 1)) }, `"layer2.0.conv3.weight" has shape`},
		{"stage", "stage5@32", nil, `resnet.features: got "stage5", want stage1 to stage4`},
		{"stride", "stage1@6", nil, "resnet.features: got stage1@6, want stride 4, 8, 16 or 32"},
	} {
		weights := maps.Clone(all["bottleneck"])
		if tt.edit != nil {
			tt.edit(weights)
		}
		cfg, err := nets.InferResNet(weights)
		if err == nil {
			cfg.Features = tt.features
			_, err = nets.ResNet(cfg, weights)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
