package zoo_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/zoo"
)

// The numbers of weights in millions are those of the networks that transformers 5.24 and timm 1.0.31 make, BatchNorm's statistics
// included, without classifiers of pictures and what belongs to them alone.
func TestParams(t *testing.T) {
	const maskToken = 0.0011 // which DINOv2's files hold and timm does not
	for name, want := range map[string]float64{
		"segformer-b0": 3.719539, "segformer-b2": 27.362771, "segformer-b5": 84.609491, "resnet18": 11.186112, "resnet50": 23.561152,
		"resnet101": 42.605504, "efficientnet-lite0": 2.998304, "efficientnet-lite4": 11.259376,
		"dinov2-s": 22.056192, "dinov2-b": 86.579712, "dinov2-l": 304.367616,
	} {
		n, err := zoo.Random(name, 1)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := float64(n.Params) / 1e6; math.Abs(got-want) > maskToken {
			t.Errorf("%s: %f M weights, want %f M", name, got, want)
		}
	}
}

// Every name is a network whose shapes fit an import, and the smallest of each family can be built.
func TestRandom(t *testing.T) {
	for _, name := range zoo.Names() {
		n, err := zoo.Random(name, 1)
		if err != nil || n.Name != name || n.Denoiser.Channels != n.Spec.Channels || n.Denoiser.Validate() != nil {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	for _, name := range []string{"segformer-b0", "resnet18", "efficientnet-lite0"} {
		var models []string
		for range 2 {
			n, err := zoo.Random(name, 7)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := n.Build()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := graph.Parse(raw); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			models = append(models, string(raw))
		}
		if models[0] != models[1] {
			t.Errorf("%s: two networks of one seed differ", name)
		}
	}
	if _, err := zoo.Random("vgg16", 1); !errors.Is(err, zoo.ErrUnknown) || !strings.Contains(err.Error(), "setr-l") {
		t.Errorf("vgg16: %v", err)
	}
}
