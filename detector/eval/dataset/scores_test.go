package dataset_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

func TestScores(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	touch(t, root, "images/1.jpg", "labels_masks/1.png") // 4×2 with two anomalous and one ignored pixel
	d, err := dataset.Open("folder", root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "1_scores.npy")
	scores := func() error {
		m, err := eval.Measure(t.Context(), d, eval.Result{}, d.ScoreFiles(dir, "_scores.npy"), eval.Options{FPR: eval.FPRNearest})
		if err == nil && (m.AP != 1 || m.AUROC != 1 || m.FPR95 != 0) {
			t.Errorf("a perfect map: %+v", m.Result)
		}
		return err
	}
	if err := scores(); !errors.Is(err, dataset.ErrScores) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for name, body := range map[string][]byte{
		"empty":   nil,
		"garbage": []byte("\x93NUMPY\x01\x00\x10\x00{'descr': 1, 2:  "),
	} {
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := scores(); !errors.Is(err, dataset.ErrScores) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// testdata/perfect.npy is a float32 array [2,4]: 1 where the mask is 1, NaN where it is ignored, 0 elsewhere.
	perfect, err := os.ReadFile("testdata/perfect.npy")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, perfect, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := scores(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, perfect[:len(perfect)-8], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := scores(); !errors.Is(err, dataset.ErrScores) {
		t.Errorf("truncated: %v", err)
	}
	if err := os.WriteFile(path, append(bytes.Clone(perfect), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := scores(); !errors.Is(err, dataset.ErrScores) {
		t.Errorf("longer: %v", err)
	}
	for name, c := range map[string]struct{ from, to string }{
		"one dimension":  {"(2, 4), }", "(8,), }  "},
		"another size":   {"(2, 4)", "(4, 2)"},
		"another type":   {"<f4", "<c8"},
		"two maps":       {"(2, 4), }", "(2,2,2),}"},
		"newer version":  {"NUMPY\x01", "NUMPY\x09"},
		"endless header": {"NUMPY\x01\x00v\x00{'", "NUMPY\x02\x00\xff\xff\xff\xff"},
	} {
		bad := bytes.Replace(perfect, []byte(c.from), []byte(c.to), 1)
		if bytes.Equal(bad, perfect) {
			t.Fatalf("%s: the file has no %q", name, c.from)
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := scores(); !errors.Is(err, dataset.ErrScores) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
