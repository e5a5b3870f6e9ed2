package dataset_test

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// touch makes the files of a data set below root: masks are real 4×2 PNGs, images are empty files.
func touch(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Ext(f) {
		case ".npy":
			raw, err := os.ReadFile("testdata/labels_i8.npy")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := out.Write(raw); err != nil {
				t.Fatal(err)
			}
		case ".png":
			m := image.NewGray(image.Rect(0, 0, 4, 2))
			m.Pix = []uint8{0, 1, 255, 2, 0, 0, 0, 1}
			if err := png.Encode(out, m); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenLayouts(t *testing.T) {
	cases := []struct {
		name, set string
		files     []string
		want      []string
		ood       uint8
	}{
		{"flat", "fs_static", []string{"images/1.jpg", "images/2.jpg", "labels_masks/1.png"}, []string{"1"}, 1},
		{
			"segment me if you can", "roadanomaly21",
			[]string{"images/validation0.jpg", "images/test.jpg", "labels_masks/validation0_labels_semantic.png"},
			[]string{"validation0"},
			1,
		},
		{
			"official root above the track", "roadobstacle21",
			[]string{
				"dataset_ObstacleTrack/images/validation_1.webp",
				"dataset_ObstacleTrack/labels_masks/validation_1_labels_semantic.png",
			},
			[]string{"validation_1"},
			1,
		},
		{
			"road anomaly", "roadanomaly",
			[]string{"frames/animals01.jpg", "frames/animals01.labels/labels_semantic.png"},
			[]string{"animals01"},
			2,
		},
		{"ade", "ade_ood", []string{"images/a b.jpg", "annotations/a b_mask.png"}, []string{"a b"}, 1},
		{
			"authors' Fishyscapes copy", "fs_lostfound",
			[]string{"images/7_image.png", "annotations/7_mask.png"},
			[]string{"7_image"},
			1,
		},
		{
			"night and snow are another split", "roadobstacle21",
			[]string{
				"images/validation_1.webp", "labels_masks/validation_1_labels_semantic.png",
				"images/validation_21_a.webp", "labels_masks/validation_21_a_labels_semantic.png",
			},
			[]string{"validation_1"},
			1,
		},
		{
			"a folder of validation images", "roadanomaly21",
			[]string{"images/a.jpg", "images_val/a.jpg", "labels_masks/a_labels_semantic.png"},
			[]string{"a"},
			1,
		},
		{
			"Fishyscapes next to Lost and Found", "fs_lostfound",
			[]string{
				"leftImg8bit/test/04_Weg/04_Weg_000_leftImg8bit.png", "leftImg8bit/test/04_Weg/04_Weg_001_leftImg8bit.png",
				"fishyscapes_lostandfound/0012_04_Weg_000_labels.png",
			},
			[]string{"04_Weg_000_leftImg8bit"},
			1,
		},
		{
			"Fishyscapes Static of RbA", "fs_static",
			[]string{"fs_static_images_v2/0001_x_rgb.png", "fs_val_v2/0001_x_labels.png"},
			[]string{"0001_x_rgb"},
			1,
		},
		{"WD-Pascal", "wd_pascal", []string{"img/34_img.png", "label/34_label.npy"}, []string{"34_img"}, 1},
		{
			"remote sensing", "dlrsd",
			[]string{
				"UCMerced_LandUse/Images/airplane/airplane00.tif", "UCMerced_LandUse/Images/beach/beach00.tif",
				"DLRSD/Labels/airplane/airplane00.png",
			},
			[]string{"airplane00"},
			1,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "[data] *set")
			touch(t, root, c.files...)
			d, err := dataset.Open(c.set, root)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, it := range d.Items {
				names = append(names, it.Name)
				if _, w, h, err := it.Labels(); err != nil || w != 4 || h != 2 {
					t.Errorf("Labels() of %s: %d×%d, %v", it.Label, w, h, err)
				}
			}
			if diff := cmp.Diff(c.want, names); diff != "" {
				t.Error(diff)
			}
			if d.OOD != c.ood {
				t.Errorf("OOD = %d, want %d", d.OOD, c.ood)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	root := t.TempDir()
	if _, err := dataset.Open("roadanomaly22", root); !errors.Is(err, dataset.ErrUnknown) {
		t.Errorf("unknown name: %v", err)
	}
	if _, err := dataset.Open("fs_static", root); !errors.Is(err, dataset.ErrNoImages) {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := dataset.Open("fs_static", filepath.Join(root, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	touch(t, root, "images/1.jpg", "labels_masks/1.png")
	d, err := dataset.Open("fs_static", root)
	if err != nil {
		t.Fatal(err)
	}
	colour := image.NewNRGBA(image.Rect(0, 0, 1, 1))
	colour.Set(0, 0, color.NRGBA{1, 2, 3, 255})
	f, err := os.Create(d.Items[0].Label)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, colour); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, _, _, err := d.Items[0].Labels(); !errors.Is(err, dataset.ErrLabels) {
		t.Errorf("colour mask: %v", err)
	}
}

// numpy.save wrote testdata/labels_i8.npy from the mask that touch draws, and labels_b1.npy from its comparison with 1.
func TestLabelsOfArrays(t *testing.T) {
	for file, want := range map[string][]uint8{
		"testdata/labels_i8.npy": {0, 1, 255, 2, 0, 0, 0, 1},
		"testdata/labels_b1.npy": {0, 1, 0, 0, 0, 0, 0, 1},
	} {
		got, w, h, err := dataset.Item{Label: file}.Labels()
		if err != nil || w != 4 || h != 2 || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %d×%d, %v; want %v", file, got, w, h, err, want)
		}
	}
	if _, _, _, err := (dataset.Item{Label: "testdata/perfect.npy"}).Labels(); !errors.Is(err, dataset.ErrLabels) {
		t.Errorf("an array of float32: %v", err)
	}
}

// The anomalous classes of DLRSD become 1, all others 0.
func TestRelabelling(t *testing.T) {
	root := t.TempDir()
	touch(t, root, "full_images/a.png", "full_1cmasks/a.png")
	d, err := dataset.Open("dlrsd", root)
	if err != nil {
		t.Fatal(err)
	}
	got, _, _, err := d.Items[0].Labels()
	if want := []uint8{0, 1, dataset.Ignore, 0, 0, 0, 0, 1}; err != nil || !cmp.Equal(got, want) {
		t.Errorf("labels %v, %v; want %v", got, err, want)
	}
}

func FuzzLabels(f *testing.F) {
	for _, file := range []string{"labels_i8.npy", "labels_b1.npy", "perfect.npy"} {
		raw, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "mask.npy")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		labels, w, h, err := dataset.Item{Label: path}.Labels()
		if err == nil && (len(labels) != w*h || w < 1 || h < 1) {
			t.Errorf("%d labels for %d×%d", len(labels), w, h)
		}
		if err != nil && !errors.Is(err, dataset.ErrLabels) {
			t.Errorf("error %v is not ErrLabels", err)
		}
	})
}
