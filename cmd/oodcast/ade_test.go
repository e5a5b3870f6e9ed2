package main

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/schema"
)

// A network of ADE20K's 150 classes goes all the way: its classes have names, it is calibrated, it is evaluated on data sets
// beyond the road in the layouts in which they are published, and the events of a run name what they were seen as.
func TestADE20K(t *testing.T) {
	dir := t.TempDir()
	bundle := adeBundle(t, dir)
	b, err := models.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Manifest.Encoder.Classes; !slices.Equal(got, models.ADE20KClasses()) {
		t.Errorf("classes %q", got)
	}
	for name, set := range map[string]func(t *testing.T, root string, i int, picture *image.RGBA, inside image.Rectangle){
		"ade_ood": adeOOD, "wd_pascal": wdPascal, "dlrsd": dlrsd,
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for i := range 2 {
				picture, inside := strangePicture(i)
				set(t, root, i, picture, inside)
			}
			rows := evalRows(t, must(t, "eval", "--dataset", name, "--root", root, "--bundle", bundle, "--timesteps", "2",
				"--method", "dood,lse,entropy", "--json", "-"))
			if got := names(rows); got != "dood'' lse entropy" {
				t.Fatalf("rows %s", got)
			}
			for _, r := range rows {
				// The anomalous share is what says that the labels of the layout were understood.
				if r.Images != 2 || math.Abs(r.OODShare-2.0*32*24/(2*128*96)) > 1e-9 || r.AP <= 0 || r.AP > 1 {
					t.Errorf("row %+v", r)
				}
			}
		})
	}
	t.Run("run", func(t *testing.T) {
		lines := filepath.Join(dir, "events.jsonl")
		config := write(t, filepath.Join(dir, "run.yaml"), fmt.Sprintf(`
publish: {url: "off"}
preview: {listen: "off"}
bundle: %q
detector: {timesteps: 1, width: 160, height: 96, threshold: -100} # the whole picture is one event
events: {min_duration: 0s}
outputs: {jsonl: %q}
cameras: [{name: yard, uri: %q}]
`, bundle, lines, demoClip(t)))
		console := must(t, "run", "--config", config, "--exit-on-end", "--max-frames", "3")
		raw, err := os.ReadFile(lines)
		if err != nil {
			t.Fatal(err)
		}
		seen := ""
		for line := range strings.Lines(string(raw)) {
			var m struct {
				Kind string
				schema.Event
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			if m.Kind != "event" {
				continue
			}
			if seen = m.SeenAs; !slices.Contains(models.ADE20KClasses(), seen) {
				t.Errorf("event seen as %q", seen)
			}
		}
		if seen == "" || !strings.Contains(console, "(seen as "+seen+")") {
			t.Errorf("seen as %q, and the console has\n%s", seen, console)
		}
	})
}

// adeBundle imports and calibrates a tiny pair of DOoD's with 150 classes.
func adeBundle(t *testing.T, dir string) string {
	t.Helper()
	_, diff := doodPair(t, "setr", models.DenoiserConfig{Blocks: [3]int{8, 4, 8}, Time: models.TimeScalar})
	shapes := vitShapes(t, "setr")
	for name, shape := range shapes {
		if strings.HasPrefix(name, "decode_head.conv_seg.") {
			shape[0] = len(models.ADE20KClasses())
		}
	}
	pair, calibrated := filepath.Join(dir, "pair"), filepath.Join(dir, "ade")
	must(t, "models", "import", "dood", "--segm", writeWeights(t, filepath.Join(dir, "segm.safetensors"), randomWeights(shapes)),
		"--diff", writeWeights(t, filepath.Join(dir, "diff.safetensors"), diff), "--heads", "4", "--out", pair, "--size", "160x96")
	normal := filepath.Join(dir, "normal")
	picturesOf(t, normal, 4, false)
	must(t, "fit", "--calibrate-only", "--bundle", pair, "--source", filepath.Join(normal, "images"), "--out", calibrated)
	return calibrated
}

// strangePicture returns a picture and the place of something strange in it.
func strangePicture(i int) (*image.RGBA, image.Rectangle) {
	m, inside := image.NewRGBA(image.Rect(0, 0, 128, 96)), image.Rect(40+8*i, 20, 72+8*i, 44)
	for y := range 96 {
		for x := range 128 {
			c := color.RGBA{uint8(x), uint8(2 * y), uint8(x + y), 255}
			if image.Pt(x, y).In(inside) {
				c = color.RGBA{255, uint8(37 * x * y), 255, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m, inside
}

// maskOf returns a mask with the value in at the strange place and out elsewhere.
func maskOf(m *image.RGBA, inside image.Rectangle, in, out uint8) *image.Gray {
	mask := image.NewGray(m.Bounds())
	for i := range mask.Pix {
		if mask.Pix[i] = out; image.Pt(i%mask.Stride, i/mask.Stride).In(inside) {
			mask.Pix[i] = in
		}
	}
	return mask
}

// adeOOD is the archive of ADE-OoD.
func adeOOD(t *testing.T, root string, i int, m *image.RGBA, inside image.Rectangle) {
	stem := fmt.Sprintf("ADE_val_%08d", i)
	writePNG(t, filepath.Join(root, "images", stem+".png"), m)
	writePNG(t, filepath.Join(root, "annotations", stem+"_mask.png"), maskOf(m, inside, 1, 0))
}

// wdPascal keeps its labels as NumPy arrays, here in version 1.0 of the format.
func wdPascal(t *testing.T, root string, i int, m *image.RGBA, inside image.Rectangle) {
	writePNG(t, filepath.Join(root, "img", fmt.Sprintf("%d_img.png", i)), m)
	mask := maskOf(m, inside, 1, 0)
	header := fmt.Sprintf("%-117s\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (96, 128), }")
	array := append([]byte("\x93NUMPY\x01\x00\x76\x00"+header), mask.Pix...)
	if err := os.MkdirAll(filepath.Join(root, "label"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "label", fmt.Sprintf("%d_label.npy", i)), array, 0o600); err != nil {
		t.Fatal(err)
	}
}

// dlrsd has TIFF pictures in folders of classes, and masks of 17 classes: 1 is an airplane, 8 is grass, 15 a tank.
func dlrsd(t *testing.T, root string, i int, m *image.RGBA, inside image.Rectangle) {
	stem := fmt.Sprintf("airplane%02d", i)
	path := filepath.Join(root, "UCMerced_LandUse", "Images", "airplane", stem+".tif")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := tiff.Encode(f, m, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	writePNG(t, filepath.Join(root, "DLRSD", "Labels", "airplane", stem+".png"), maskOf(m, inside, []uint8{1, 15}[i], 8))
}
