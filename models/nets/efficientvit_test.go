package nets_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/checkpoint"
	"github.com/oodcast/oodcast/models/nets"
)

// b0 reads the published weights.
func b0(t testing.TB) checkpoint.Tensors {
	t.Helper()
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		t.Skip("SKIPPED: OODCAST_DATA is not set, the published EfficientViT weights were not tested")
	}
	ts, _, err := checkpoint.OpenTorch(filepath.Join(data, "encoders", "efficientvit_seg_b0_cityscapes.pt"))
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// encode runs an encoder once: on one picture, or on all pictures if it takes several.
func encode(t testing.TB, s *ort.Session, image []uint8, h, w, toH, toW int) map[string]*ort.Tensor {
	t.Helper()
	shape := []int64{int64(h), int64(w), 3}
	for _, in := range s.Inputs() {
		if len(in.Shape) == 4 {
			shape = slices.Insert(shape, 0, int64(len(image)/(3*h*w)))
		}
	}
	return eval(t, s, map[string]*ort.Tensor{
		"image": tensor(t, image, shape...),
		"size":  tensor(t, []int64{int64(toH), int64(toW)}, 2),
	})
}

func encoder(t testing.TB, cfg nets.EfficientViTConfig, weights checkpoint.Tensors) *ort.Session {
	t.Helper()
	g, err := nets.EfficientViT(cfg, weights)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := g.Marshal()
	return open(t, raw, err)
}

// TestEfficientViTGolden compares the outputs with an independent PyTorch run of the published network on a 96×64 picture.
func TestEfficientViTGolden(t *testing.T) {
	weights := b0(t)
	golden, _, err := checkpoint.ReadSafetensors("testdata/efficientvit_b0_golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := nets.InferEfficientViT(weights)
	if err != nil {
		t.Fatal(err)
	}
	picture := golden["image"]
	h, w := picture.Shape[0], picture.Shape[1]
	image := make([]uint8, picture.Len())
	for i, v := range picture.Data {
		image[i] = uint8(v)
	}
	for name, stride := range map[string]int{"stage2": 8, "stage3": 16, "stage4": 32, "head": 8} {
		cfg.Features = fmt.Sprintf("%s@%d", name, stride)
		out := encode(t, encoder(t, cfg, weights), image, h, w, h, w)
		compare(t, name, chw(ort.Data[float32](out["features"]), out["features"].Shape()[1:]), golden[name].Data)
		if name == "head" {
			compare(t, "logits", ort.Data[float32](out["logits"]), golden["logits"].Data)
			compare(t, "lse", ort.Data[float32](out["lse"]), logSumExp(golden["logits"]))
		}
	}
}

// chw moves the channels of channel-last values to the front.
func chw(v []float32, shape []int64) []float32 {
	n, c := int(shape[0]*shape[1]), int(shape[2])
	out := make([]float32, len(v))
	for i := range n {
		for j := range c {
			out[j*n+i] = v[i*c+j]
		}
	}
	return out
}

func logSumExp(logits *checkpoint.Tensor) []float32 {
	k := logits.Shape[0]
	n := logits.Len() / k
	out := make([]float32, n)
	for i := range out {
		sum := 0.0
		for c := range k {
			sum += math.Exp(float64(logits.Data[c*n+i]))
		}
		out[i] = float32(math.Log(sum))
	}
	return out
}

// TestEfficientViTBatch checks that a picture has the same outputs among others as alone.
func TestEfficientViTBatch(t *testing.T) {
	cfg := small()
	s := encoder(t, cfg, weightsFor(cfg, 0.1))
	const n, h, w = 3, 40, 70
	pictures := noise(n * h * w * 3)
	together := encode(t, s, pictures, h, w, 64, 96)
	for i := range n {
		for name, alone := range encode(t, s, pictures[i*h*w*3:][:h*w*3], h, w, 64, 96) {
			want := ort.Data[float32](alone)
			compare(t, fmt.Sprintf("%s of picture %d", name, i), ort.Data[float32](together[name])[i*len(want):][:len(want)], want)
		}
	}
}

// compare allows an absolute difference of 5e-4: both sides are float32, and about fifty layers sum in different orders,
// with values up to 50 (measured: 2.3e-4 at most).
func compare(t *testing.T, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return
	}
	worst, top := 0.0, 0.0
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i]-want[i])))
		if got[i] != got[i] {
			worst = math.Inf(1)
		}
		top = max(top, math.Abs(float64(want[i])))
	}
	t.Logf("%s: worst difference %.2g of at most %.3g", name, worst, top)
	if worst > 5e-4 {
		t.Errorf("%s: worst difference %g", name, worst)
	}
}
