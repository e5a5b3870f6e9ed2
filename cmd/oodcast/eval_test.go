package main

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/models/graph"
)

// picturesOf writes n pictures of smooth noise into folder. With labelled, each has a bright square, which its mask marks.
func picturesOf(t *testing.T, folder string, n int, labelled bool) {
	t.Helper()
	const w, h = 128, 96
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		pic, mask := image.NewRGBA(image.Rect(0, 0, w, h)), image.NewGray(image.Rect(0, 0, w, h))
		phase, at := r.IntN(50), image.Pt(r.IntN(w-40), r.IntN(h-40))
		for y := range h {
			for x := range w {
				c := color.RGBA{uint8(x + phase), uint8(2*y + r.IntN(9)), uint8(x + y), 255}
				if labelled && image.Pt(x, y).Sub(at).In(image.Rect(0, 0, 36, 36)) {
					c = color.RGBA{255, uint8(r.IntN(256)), 255, 255}
					mask.SetGray(x, y, color.Gray{Y: 1})
				}
				pic.SetRGBA(x, y, c)
			}
		}
		name := string(rune('a'+i)) + ".png"
		writePNG(t, filepath.Join(folder, "images", name), pic)
		writePNG(t, filepath.Join(folder, "labels_masks", name), mask)
	}
}

func writePNG(t *testing.T, path string, m image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func evalRows(t *testing.T, raw string) []eval.Result {
	t.Helper()
	var rows []eval.Result
	if err := json.Unmarshal([]byte(raw), &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// names returns the methods of rows, each with one stroke per timestep of |T|.
func names(rows []eval.Result) string {
	var list []string
	for _, r := range rows {
		list = append(list, r.Method+strings.Repeat("'", r.Timesteps))
	}
	return strings.Join(list, " ")
}

// With --seed two runs write the same bytes, without a latency; otherwise the rows have one.
func TestEvalSeed(t *testing.T) {
	dir := t.TempDir()
	root, normal := filepath.Join(dir, "set"), filepath.Join(dir, "normal")
	picturesOf(t, root, 3, true)
	picturesOf(t, normal, 2, false)
	args := []string{
		"eval", "--dataset", "folder", "--root", root, "--method", "dood,knn", "--timesteps", "1,2", "--json", "-",
		"--reference", filepath.Join(normal, "images"),
	}
	seeded := append(slices.Clone(args), "--seed", "7")
	first := must(t, seeded...)
	if again := must(t, seeded...); again != first {
		t.Errorf("two runs with one seed differ:\n%s\n%s", first, again)
	}
	rows := evalRows(t, first)
	if got, want := names(rows), "dood' dood'' knn"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	for _, r := range rows {
		if r.LatencyMS != nil || r.Images != 3 || r.Pixels != 3*128*96 || !(r.AUROC > 0 && r.AUROC <= 1) {
			t.Errorf("%s: %+v", r.Method, r)
		}
	}
	for _, r := range evalRows(t, must(t, append(args, "--limit", "1")...)) {
		if r.LatencyMS == nil || !(r.LatencyMS.P50 > 0) || r.Images != 1 {
			t.Errorf("%s: %d images, latency %+v without a seed", r.Method, r.Images, r.LatencyMS)
		}
	}
}

// eval of a bundle agrees with eval of the score files that score writes.
func TestEvalAgreesWithScore(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 2, true)
	scores := filepath.Join(dir, "scores")
	must(t, "score", filepath.Join(dir, "images"), "--out", scores, "--format", "npy", "--timesteps", "3")
	common := []string{"eval", "--dataset", "folder", "--root", dir, "--json", "-"}
	files := evalRows(t, must(t, append(slices.Clone(common), "--scores", scores)...))[0]
	row := evalRows(t, must(t, append(common, "--timesteps", "3")...))[0]
	if files.AP != row.AP || files.AUROC != row.AUROC || files.FPR95 != row.FPR95 {
		t.Errorf("eval of the score files: %+v, of the bundle: %+v", files, row)
	}
}

// maskNetwork writes a mask-classification network and returns its path and the name of its features.
func maskNetwork(t *testing.T) (path, features string) {
	t.Helper()
	const queries, classes, channels = 6, 3, 8
	r := rand.New(rand.NewPCG(3, 3))
	g := graph.New(graph.Float32)
	random := func(shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64()) / 4
		}
		return g.Const(v, shape...)
	}
	x := g.Input("pixels", graph.Float32, 1, 3, -1, -1)
	f := g.Conv(x, random(channels, 3, 16, 16), nil, graph.ConvOptions{Stride: 16})
	mean := g.Reduce("ReduceMean", f, false, 2, 3)
	g.Output(g.Reshape(g.Linear(mean, random(queries*(classes+1), channels), nil), 1, queries, classes+1), "classes")
	g.Output(g.Conv(f, random(queries, channels, 1, 1), nil, graph.ConvOptions{}), "masks")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "masks.onnx")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, f.Name
}

// Class and mask logits named at import become outputs of the encoder, and eval scores by them without a denoiser.
func TestEvalMaskNetwork(t *testing.T) {
	network, features := maskNetwork(t)
	dir := t.TempDir()
	bundle, root := filepath.Join(dir, "masks"), filepath.Join(dir, "set")
	must(t, "models", "import", "onnx", network, "--features", features, "--class-logits", "classes", "--mask-logits",
		"masks", "--out", bundle, "--size", "128x96")
	if out := must(t, "models", "verify", bundle); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
	picturesOf(t, root, 2, true)
	args := []string{"eval", "--dataset", "folder", "--root", root, "--bundle", bundle, "--json", "-"}
	rows := evalRows(t, must(t, append(slices.Clone(args), "--method", "all")...))
	if got := names(rows); got != "contrast lse msp maxlogit entropy rba maskomaly m2a eam" {
		t.Errorf("rows %s", got)
	}
	for method, want := range map[string]string{
		"dood": "run oodcast fit", "knn": "add --reference", "magic": "unknown method",
	} {
		code, _, stderr := oodcast(t, append(slices.Clone(args), "--method", method)...)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("--method %s: exit %d, %q; want %d and %q", method, code, stderr, exitUsage, want)
		}
	}
	code, _, stderr := oodcast(t, append(args, "--method", "knn", "--reference", "rtsp://user:secret@192.0.2.1/x")...)
	if code != exitUsage || !strings.Contains(stderr, "never ends") || strings.Contains(stderr, "secret") {
		t.Errorf("a live --reference: exit %d, %q", code, stderr)
	}
	code, _, stderr = oodcast(t, "eval", "--dataset", "folder", "--root", root, "--method", "rba")
	if code != exitUsage || !strings.Contains(stderr, "--mask-logits") {
		t.Errorf("rba without masks: exit %d, %q", code, stderr)
	}
}

// Masks of 0 and 255, the commonest there are, give the figures of the same masks with 0 and 1, without a flag and with it.
// Several images come with an estimate of the time.
func TestEvalWhiteMasks(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 2, true)
	scores := filepath.Join(dir, "scores")
	must(t, "score", filepath.Join(dir, "images"), "--out", scores, "--format", "npy", "--timesteps", "1")
	args := []string{"eval", "--dataset", "folder", "--root", dir, "--scores", scores, "--json", "-"}
	want := must(t, args...)
	masks := filepath.Join(dir, "labels_masks")
	for _, name := range folderNames(t, masks) {
		f, err := os.Open(filepath.Join(masks, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		grey := m.(*image.Gray)
		for i := range grey.Pix {
			grey.Pix[i] *= 255
		}
		writePNG(t, filepath.Join(dir, "masks", name), grey)
	}
	if err := os.RemoveAll(masks); err != nil {
		t.Fatal(err)
	}
	code, got, stderr := oodcast(t, args...)
	if code != exitDone || got != want || !strings.Contains(stderr, "255 is anomalous") {
		t.Errorf("exit code %d, %q, %s; want %s", code, stderr, got, want)
	}
	if got := must(t, append(args, "--ood-value", "255")...); got != want {
		t.Errorf("--ood-value 255: %s, want %s", got, want)
	}
	code, _, stderr = oodcast(t, append(args, "--ood-value", "7")...)
	if code != exitFailed || !strings.Contains(stderr, "the masks hold 0 and 255, but anomalous is 7") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	code, _, stderr = oodcast(t, "eval", "--dataset", "folder", "--root", dir, "--method", "lse", "--json", "-")
	if code != exitDone || !strings.Contains(stderr, "1 more images take about ") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
