package importer_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// childVariable makes the test's program import the models that it names, a line for each of its kind, its files and the folder
// of the bundle, and print its largest memory after each.
const childVariable = "OODCAST_TEST_IMPORT"

func runChild() error {
	for line := range strings.Lines(os.Getenv(childVariable)) {
		of := strings.Fields(line)
		opt := importer.Options{
			Out: of[len(of)-1], Size: models.Size{Width: 128, Height: 64}, Program: "a test", Runner: ort.Runner{},
		}
		var err error
		switch of[0] {
		case "onnx":
			_, err = importer.ONNX(of[2], nets.ForeignConfig{Features: of[1], Logits: nets.NoLogits}, 32, opt)
		case "segformer":
			_, err = importer.SegFormer(importer.SegFormerSource{Path: of[1]}, opt)
		case "dood":
			_, err = importer.DOoD(importer.DOoDSource{Segmenter: of[1], Denoiser: of[2]}, opt)
		}
		if err != nil {
			return err
		}
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(status)) {
			if peak, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				fmt.Println(strings.TrimSuffix(strings.TrimSpace(peak), " kB"))
			}
		}
	}
	return nil
}

// imported imports a small and a large network in a process of their own, and returns by how many bytes its memory grew for the
// large one.
func imported(t *testing.T, small, large string) (all, more int64) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+small+"\n"+large+"\n")
	child.Stderr = os.Stderr
	printed, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	var base, peak int64
	if _, err := fmt.Sscan(string(printed), &base, &peak); err != nil {
		t.Fatalf("%q: %v", printed, err)
	}
	return peak << 10, (peak - base) << 10
}

// wide writes a network with layers of 1024 × 1024 weights, convolutions and products, and returns their size in bytes.
func wide(t *testing.T, path string, layers int, external bool) (features string, size int64) {
	t.Helper()
	const width = 1024
	scale := float32(4)
	if layers > 20 {
		scale = 40 // or the features are not finite
	}
	weights := func(n, fan int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32((i+int(size/4)*5)%13-6) / (scale + float32(size%101)/1000) / float32(math.Sqrt(float64(fan)))
		}
		size += 4 * int64(n)
		return v
	}
	g := graph.New(graph.Float32)
	x := g.Conv(g.Input("pixels", graph.Float32, 1, 3, -1, -1), g.Const(weights(width*3*256, 768), width, 3, 16, 16), nil,
		graph.ConvOptions{Stride: 16})
	for i := range layers {
		if i%2 == 0 {
			x = g.Conv(x, g.Const(weights(width*width, width), width, width, 1, 1), nil, graph.ConvOptions{})
			continue
		}
		x = g.MatMul(g.Transpose(x, 0, 2, 3, 1), g.Const(weights(width*width, width), width, width))
		x = g.Transpose(x, 0, 3, 1, 2)
	}
	g.Output(x, "out")
	model, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if external {
		saveExternal(t, path, model)
	} else if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	return x.Name, size
}

// The import of a large network takes less than twice the memory of its weights, wherever they are, and leaves nothing beside
// the bundle, which computes what the network computes.
func TestONNXMemory(t *testing.T) {
	dir := t.TempDir()
	var sums []string
	layers := 20
	if n, err := strconv.Atoi(os.Getenv("OODCAST_IMPORT_LAYERS")); err == nil {
		layers = n // 120: 507 MB
	}
	for _, external := range []bool{true, false} {
		name := fmt.Sprint("external=", external)
		small, large := filepath.Join(dir, name+"-small.onnx"), filepath.Join(dir, name+".onnx")
		before, _ := wide(t, small, 1, external)
		features, size := wide(t, large, layers, external)
		out := filepath.Join(dir, "bundles", name)
		all, more := imported(t, fmt.Sprintf("onnx %s %s %s", before, small, out+"-small"), fmt.Sprintf("onnx %s %s %s", features, large, out))
		t.Logf("%s: %.0f MB of weights: %.0f MB in all, %.0f MB more than for a small network", name, float64(size)/1e6,
			float64(all)/1e6, float64(more)/1e6)
		if more > size*3/2 {
			t.Errorf("%s: %.1f times the weights", name, float64(more)/float64(size))
		}
		b, err := models.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, b.Files[models.EncoderFile].SHA256)
		if b.Files[models.EncoderFile].Bytes < size {
			t.Errorf("%s: the bundle has %d bytes", name, b.Files[models.EncoderFile].Bytes)
		}
		if layers == 20 {
			if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check.Difference > 1e-4 {
				t.Errorf("%s: CheckGolden() = %+v, %v", name, check, err)
			}
		}
	}
	if sums[0] != sums[1] {
		t.Error("the two bundles differ")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "bundles"))
	if err != nil || len(entries) != 4 {
		t.Errorf("beside the bundles: %v, %v", entries, err)
	}
}

// The weights of large networks are in memory once at a time, whatever they are made of: a SegFormer-B5 as the hub has it, and
// half a Segmenter-B with its denoiser as DOoD published them, with made-up weights.
func TestWeightsMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 1.5 GB")
	}
	dir := t.TempDir()
	small, large := filepath.Join(dir, "b0"), filepath.Join(dir, "b5")
	segFormerFiles(t, small, [4]int{4, 4, 8, 8}, [4]int{1, 1, 1, 1}, 8)
	size := segFormerFiles(t, large, [4]int{64, 128, 320, 512}, [4]int{3, 6, 40, 3}, 768)
	checkMemory(t, size, "segformer "+small, "segformer "+large)
	if err := os.RemoveAll(large); err != nil {
		t.Fatal(err)
	}
	tiny, _ := doodFiles(t, filepath.Join(dir, "tiny"), 64, 1)
	pair, size := doodFiles(t, filepath.Join(dir, "pair"), 768, 6)
	checkMemory(t, size, "dood "+tiny, "dood "+pair)
}

// checkMemory imports two networks and checks the memory for the second, whose files have so many bytes.
func checkMemory(t *testing.T, size int64, small, large string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle")
	all, more := imported(t, small+" "+out+"-small", large+" "+out)
	t.Logf("%.60s: %.0f MB of files: %.0f MB in all, %.2f times the files more than for a small network", large, float64(size)/1e6,
		float64(all)/1e6, float64(more)/float64(size))
	if more > size*3/2 || all > 2*size {
		t.Errorf("%s: %d bytes in all, %d more than for a small one, for files of %d", large, all, more, size)
	}
	b, err := models.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check.Difference > 1e-3 {
		t.Errorf("%s: CheckGolden() = %+v, %v", large, check, err)
	}
}
