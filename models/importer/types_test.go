package importer_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// precise returns a network of weights of one type. Its input and output have another type if outside is set.
func precise(t *testing.T, inside, outside graph.DType, products bool) (path, features string) {
	t.Helper()
	g := graph.New(graph.Float32)
	weights := func(shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i%7-3) / 64
		}
		return g.Cast(g.Const(v, shape...), inside)
	}
	x := g.Cast(g.Input("pixels", outside, 1, 3, -1, -1), inside)
	last := func(x *graph.Tensor, perm ...int64) *graph.Tensor {
		return g.Node("Transpose", []*graph.Tensor{x}, []int64{1, -1, -1, -1}, inside, graph.Ints("perm", perm...))
	}
	product := func(x *graph.Tensor, rows, columns int64) *graph.Tensor {
		y := g.Node("MatMul", []*graph.Tensor{last(x, 0, 2, 3, 1), weights(rows, columns)}, []int64{1, -1, -1, columns}, inside)
		return last(y, 0, 3, 1, 2)
	}
	var f *graph.Tensor
	if products { // in double, ONNX Runtime has matrix products but no convolutions
		f = product(x, 3, 8)
	} else {
		f = g.Node("Conv", []*graph.Tensor{x, weights(8, 3, 16, 16)}, []int64{1, 8, -1, -1}, inside, graph.Ints("strides", 16, 16))
	}
	g.Output(g.Cast(product(f, 8, 4), outside), "logits")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "net.onnx")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, f.Name
}

// features returns the features that the imported network computes for the golden picture.
func features(t *testing.T, path, tensor string) []float32 {
	t.Helper()
	opt := options(t)
	if _, err := importer.ONNX(path, nets.ForeignConfig{Features: tensor}, 32, opt); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	model, err := b.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	err = ort.Runner{}.Run(model, func(encode models.EncodeFunc) error {
		out, err := encode(models.GoldenImage(128, 64), 128, 64, opt.Size)
		got = out["features"].Data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Networks in half or double precision are imported and give nearly the features of the network in float32, whether the
// types show at their ends or only inside.
func TestONNXPrecision(t *testing.T) {
	for name, net := range map[string]struct {
		inside, outside graph.DType
		products        bool
	}{
		"half":          {graph.Float16, graph.Float16, false},
		"half inside":   {graph.Float16, graph.Float32, false},
		"double":        {graph.Float64, graph.Float64, true},
		"double inside": {graph.Float64, graph.Float32, true},
		"double around": {graph.Float32, graph.Float64, false},
	} {
		path, tensor := precise(t, graph.Float32, graph.Float32, net.products)
		want := features(t, path, tensor)
		path, tensor = precise(t, net.inside, net.outside, net.products)
		got := features(t, path, tensor)
		if len(got) != len(want) || len(got) == 0 {
			t.Errorf("%s: %d features, want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 0.05 { // half has 11 bits, and each feature sums 768 products
				t.Errorf("%s: feature %d = %v, want %v", name, i, got[i], want[i])
				break
			}
		}
	}
}

// What cannot be run says what to do, in one line.
func TestONNXPrecisionRefused(t *testing.T) {
	path, tensor := precise(t, graph.Float64, graph.Float64, false)
	_, err := importer.ONNX(path, nets.ForeignConfig{Features: tensor}, 32, options(t))
	if err == nil || !strings.Contains(err.Error(), "computes in double") || !strings.Contains(err.Error(), "model.float()") ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("double convolutions: %v", err)
	}
	path, tensor = precise(t, graph.Float32, graph.Int32, false)
	_, err = importer.ONNX(path, nets.ForeignConfig{Features: tensor}, 32, options(t))
	if err == nil || !strings.Contains(err.Error(), `input "pixels" takes int32: want float or uint8`) {
		t.Errorf("integers: %v", err)
	}
}
