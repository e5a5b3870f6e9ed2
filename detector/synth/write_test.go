package synth_test

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
)

const photographs = "/usr/share/doc/opencv-doc/examples/data"

// files returns the content of every file below dir.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Real footage and photographs make a set that the evaluation opens; the same seed makes the same bytes and another seed
// others. No frame stays in the pool.
func TestWriteFromRealFootage(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "objects")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orange.jpg", "apple.jpg"} {
		raw, err := os.ReadFile(filepath.Join(photographs, name))
		if err != nil {
			t.Fatalf("%v: make deps installs opencv-doc", err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := func(name string, seed uint64) map[string]string {
		objects, skipped, err := synth.Objects(folder, seed)
		if err != nil || len(skipped) > 0 || len(objects) != 2 {
			t.Fatalf("%d objects, skipped %v, %v", len(objects), skipped, err)
		}
		g := generator(t, objects, func(c *synth.Config) { c.Seed = seed })
		var pools []*ingest.Pool
		footage := synth.Footage{Names: []string{"data/vtest.avi"}, Open: func() ([]ingest.Source, error) {
			s, pool := clip(t)
			pools = append(pools, pool)
			return []ingest.Source{s}, nil
		}}
		out := filepath.Join(dir, name)
		res, err := g.Write(t.Context(), out, 5, footage)
		if err != nil {
			t.Fatal(err)
		}
		if res.Images != 5 || res.Frames != 795 {
			t.Errorf("%+v", res)
		}
		for _, p := range pools {
			if n := p.InFlight(); n != 0 || len(pools) != 2 {
				t.Errorf("%d frames not released, %d passes", n, len(pools))
			}
		}
		return files(t, out)
	}
	first := build("a", 1)
	if diff := cmp.Diff(first, build("b", 1)); diff != "" {
		t.Error("the same seed wrote other bytes")
	}
	if cmp.Equal(first["labels_masks/000000.png"], build("c", 2)["labels_masks/000000.png"]) {
		t.Error("another seed wrote the same mask")
	}
	for _, want := range []string{"data/vtest.avi", "object: orange.jpg", "seed 1;", "795 frames", "## Licence"} {
		if !strings.Contains(first["README.md"], want) {
			t.Errorf("README.md lacks %q:\n%s", want, first["README.md"])
		}
	}
	if n := strings.Count(first["things.jsonl"], "\n"); n != 5 || !strings.Contains(first["things.jsonl"], `"frame":79,`) {
		t.Errorf("things.jsonl:\n%s", first["things.jsonl"])
	}
	d, err := dataset.Open("folder", filepath.Join(dir, "a"))
	if err != nil || len(d.Items) != 5 {
		t.Fatalf("%d images, %v", len(d.Items), err)
	}
	if _, found, err := d.FindOOD(); found || err != nil || d.OOD != synth.Anomalous {
		t.Errorf("anomalous label %d, %v", d.OOD, err)
	}
	sets, skipped, err := dataset.Sets(dir)
	if err != nil || len(sets) != 3 || len(skipped) != 1 {
		t.Errorf("%d sets, skipped %v, %v", len(sets), skipped, err)
	}
}

func TestObjects(t *testing.T) {
	dir := t.TempDir()
	disc, grey := image.NewNRGBA(image.Rect(0, 0, 100, 60)), image.NewNRGBA(image.Rect(0, 0, 100, 60))
	for i := range 6000 {
		x, y := i%100, i/100
		grey.SetNRGBA(x, y, color.NRGBA{128, 128, 128, 255})
		if math.Hypot(float64(x)-40, float64(y)-30) < 20 {
			disc.SetNRGBA(x, y, color.NRGBA{200, 10, 10, 255})
		}
	}
	for name, m := range map[string]image.Image{"disc.png": disc, "grey.png": grey} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, m), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(photographs, "orange.jpg"))
	if err != nil {
		t.Fatalf("%v: make deps installs opencv-doc", err)
	}
	for name, content := range map[string][]byte{"orange.jpg": raw, "broken.jpg": []byte("no picture")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, skipped, err := synth.Objects(dir, 1)
	if err != nil || len(objects) != 2 || len(skipped) != 2 {
		t.Fatalf("%d objects, skipped %v, %v", len(objects), skipped, err)
	}
	// Both are round: they fill π/4 of their boxes.
	for _, o := range objects {
		b := o.Picture.Bounds()
		area := 0
		for i := range b.Dx() * b.Dy() {
			if o.Picture.Pix[4*i+3] >= 128 {
				area++
			}
		}
		if share := float64(area) / float64(b.Dx()*b.Dy()); math.Abs(share-math.Pi/4) > 0.05 {
			t.Errorf("%s fills %.2f of its box of %v", o.Name, share, b)
		}
	}
	if b := objects[0].Picture.Bounds(); objects[0].Name != "disc.png" || b.Dx() != 39 || b.Dy() != 39 {
		t.Errorf("%s has %v, want the 39 pixels of the disc", objects[0].Name, b)
	}
	for _, name := range []string{"disc.png", "orange.jpg"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := synth.Objects(dir, 1); !errors.Is(err, synth.ErrNoObjects) {
		t.Errorf("no object: %v, want ErrNoObjects", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	g := generator(t, nil, func(*synth.Config) {})
	footage := func(s street) synth.Footage {
		return synth.Footage{Names: []string{"street"}, Open: func() ([]ingest.Source, error) { return []ingest.Source{s}, nil }}
	}
	good := street{frames: 3, width: 64, height: 48}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Write(t.Context(), dir, 2, footage(good)); !errors.Is(err, synth.ErrNotEmpty) {
		t.Errorf("a full folder: %v, want ErrNotEmpty", err)
	}
	out := filepath.Join(dir, "out")
	if _, err := g.Write(t.Context(), out, 2, footage(street{width: 64, height: 48})); !errors.Is(err, synth.ErrNoFrames) {
		t.Errorf("no frame: %v, want ErrNoFrames", err)
	}
	if _, err := g.Write(t.Context(), out, 2, footage(street{frames: 2, width: 12, height: 48})); err == nil || !strings.Contains(err.Error(), "12x48") {
		t.Errorf("small frames: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Write(ctx, out, 2, footage(good)); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("after failures the folder holds %v, %v", entries, err)
	}
	// More pictures than frames use a frame several times.
	if res, err := g.Write(t.Context(), out, 7, footage(good)); err != nil || res.Images != 7 || res.Frames != 3 {
		t.Errorf("%+v, %v", res, err)
	}
	if got := len(files(t, out)); got != 2*7+2 {
		t.Errorf("%d files", got)
	}
}
