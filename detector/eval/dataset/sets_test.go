package dataset_test

import (
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// labelledPicture writes a picture and a mask with the given labels.
func labelledPicture(t *testing.T, folder string, labels ...uint8) {
	t.Helper()
	for name, pix := range map[string][]uint8{"images/a.png": make([]uint8, len(labels)), "labels_masks/a.png": labels} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, &image.Gray{Pix: pix, Stride: len(pix), Rect: image.Rect(0, 0, len(pix), 1)}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A folder with the name of a data set has its label of anomalous pixels, any other the one that FindOOD finds; masks of
// classes are no anomalies, and folders without masks are named.
func TestSets(t *testing.T) {
	root := t.TempDir()
	labelledPicture(t, filepath.Join(root, "roadanomaly"), 0, 2)
	labelledPicture(t, filepath.Join(root, "mine"), 0, 1, 255)
	labelledPicture(t, filepath.Join(root, "white"), 0, 255)
	labelledPicture(t, filepath.Join(root, "classes"), 0, 1, 2, 7)
	labelledPicture(t, filepath.Join(root, "normal"), 0, 0)
	if err := os.MkdirAll(filepath.Join(root, "clips", "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	found, skipped, err := dataset.Sets(root)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range found {
		names = append(names, d.Name)
		if d.Name == "roadanomaly" && d.OOD != 2 || d.Name != "roadanomaly" && d.OOD != 1 {
			t.Errorf("%s: label %d", d.Name, d.OOD)
		}
	}
	if got := strings.Join(names, " "); got != "mine roadanomaly white" {
		t.Errorf("sets %s", got)
	}
	var why []string
	for _, e := range skipped {
		why = append(why, e.Error())
	}
	got := strings.Join(why, "; ")
	for _, want := range []string{`"classes": dataset: masks hold the label 2`, `"clips" holds no labelled image`, `"normal": dataset: masks hold no anomalous pixel`} {
		if !strings.Contains(got, want) {
			t.Errorf("skipped %s, want %s", got, want)
		}
	}
	if len(skipped) != 3 {
		t.Errorf("skipped %s", got)
	}
	if _, _, err := dataset.Sets(filepath.Join(root, "clips")); !errors.Is(err, dataset.ErrNoImages) {
		t.Errorf("no set: %v, want ErrNoImages", err)
	}
}
