package nets_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/nets"
)

// The gradient agrees with central differences of the loss, and the loss with its formula. All are computed in double precision.
func TestClassifierTrainingGradient(t *testing.T) {
	const rows, channels, classes = 7, 5, 4
	model, err := nets.ClassifierTraining(rows, channels, classes, graph.Float64)
	s := open(t, model, err)
	rnd := rand.New(rand.NewPCG(8, 8))
	const size = classes*channels + classes
	p, x, target := wide(normal(rnd, size)), wide(normal(rnd, rows*channels)), make([]float64, rows*classes)
	for i := range target {
		if i/classes > 0 { // the first row has no label
			target[i] = rnd.Float64() / classes
		}
	}
	zero := make([]float64, size)
	in := map[string]*ort.Tensor{
		"params": tensor(t, p, size), "m": tensor(t, zero, size), "v": tensor(t, zero, size),
		"x": tensor(t, x, rows, channels), "target": tensor(t, target, rows, classes), "hyper": tensor(t, []float64{1, 1, 1, math.Inf(1)}, 4),
	}
	want := 0.0
	for i := range rows {
		var logits [classes]float64
		sum := 0.0
		for k := range logits {
			logits[k] = p[classes*channels+k]
			for j := range channels {
				logits[k] += p[k*channels+j] * x[i*channels+j]
			}
			sum += math.Exp(logits[k])
		}
		for k, z := range logits {
			want -= target[i*classes+k] * (z - math.Log(sum)) / rows
		}
	}
	first := eval(t, s, in)
	if got := ort.Data[float64](first["loss"])[0]; math.Abs(got-want) > 1e-12 {
		t.Errorf("loss %v, want %v", got, want)
	}
	grad := slices.Clone(ort.Data[float64](first["m_out"]))
	for i := range grad {
		const h = 1e-5
		loss := func(d float64) float64 {
			old := p[i]
			p[i] += d
			defer func() { p[i] = old }()
			return ort.Data[float64](eval(t, s, in)["loss"])[0]
		}
		if central := (loss(h) - loss(-h)) / (2 * h); math.Abs(10*grad[i]-central) > 1e-8 {
			t.Errorf("gradient of entry %d is %v, want %v", i, 10*grad[i], central)
		}
	}
}

// A classifier behind an encoder computes the logits of its features, enlarged, in the place of those that it had; a projection
// of the features comes behind it without changing them.
func TestClassify(t *testing.T) {
	cfg := small()
	g, err := nets.EfficientViT(cfg, weightsFor(cfg, 0.1))
	if err != nil {
		t.Fatal(err)
	}
	vit, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	single, nchw, _, _ := patches(t, 19)
	foreign, _, err := nets.Foreign(single, nets.ForeignConfig{Features: nchw, Logits: nets.NoLogits},
		nets.ForeignShape{Height: 64, Width: 96, Features: []int64{1, 6, 4, 6}})
	if err != nil {
		t.Fatal(err)
	}
	const h, w, classes = 64, 96, 3
	image := noise(h * w * 3)
	for name, model := range map[string][]byte{"with classes": vit, "features of one picture": foreign} {
		plain := encode(t, open(t, model, nil), image, h, w, h, w)
		features := ort.Data[float32](plain["features"])
		shape := plain["features"].Shape()
		c := int(shape[len(shape)-1])
		head := nets.Classifier{Weights: make([]float32, classes*c), Bias: []float32{0.5, -1, 2}}
		for i := range head.Weights {
			head.Weights[i] = float32(i%7-3) / 20
		}
		classified, err := nets.Classify(model, head, 1)
		out := encode(t, open(t, classified, err), image, h, w, h, w)
		cells := len(features) / c
		want, lse := make([]float32, classes*cells), make([]float32, cells)
		for i := range cells {
			sum := 0.0
			for k := range classes {
				z := float64(head.Bias[k])
				for j := range c {
					z += float64(head.Weights[k*c+j]) * float64(features[i*c+j])
				}
				want[k*cells+i] = float32(z)
				sum += math.Exp(z)
			}
			lse[i] = float32(math.Log(sum))
		}
		relative(t, name+", features", ort.Data[float32](out["features"]), features)
		relative(t, name+", logits", ort.Data[float32](out["logits"]), want)
		relative(t, name+", lse", ort.Data[float32](out["lse"]), lse)
		if len(out) != 3 {
			t.Errorf("%s: %d outputs, want features, logits and lse", name, len(out))
		}

		large, err := nets.Classify(classified, head, 2)
		if err != nil {
			t.Fatal(err)
		}
		p := nets.Projection{Shift: make([]float32, c), Matrix: head.Weights}
		projected, err := nets.Project(large, p)
		out = encode(t, open(t, projected, err), image, h, w, h, w)
		rank := len(out["logits"].Shape())
		if got := out["logits"].Shape()[rank-2:]; !slices.Equal(got, []int64{2 * shape[len(shape)-3], 2 * shape[len(shape)-2]}) {
			t.Errorf("%s: logits of %v, features of %v", name, got, shape)
		}
		if got := out["features"].Shape(); got[len(got)-1] != classes {
			t.Errorf("%s: projected features %v", name, got)
		}
	}
	if _, err := nets.Classify(vit, nets.Classifier{Bias: []float32{1, 2}}, 1); err == nil || !strings.Contains(err.Error(), "0 weights for 2 classes") {
		t.Errorf("without weights: %v", err)
	}
}
