package evaluator_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/importer"
)

// Every method on masks runs on a Mask2Former as a user imports it. Its weights are random, so that only their way through the
// program is checked: maps of finite values that differ from one another and over the picture.
func TestMask2Former(t *testing.T) {
	dir := t.TempDir()
	pictures(t, filepath.Join(dir, "set"), 2, true)
	pictures(t, filepath.Join(dir, "normal"), 3, false)
	_, err := importer.Mask2Former(
		importer.Mask2FormerSource{Path: filepath.Join("..", "..", "..", "models", "importer", "testdata", "mask2former")},
		importer.Options{Out: filepath.Join(dir, "bundle"), Size: models.Size{Width: 256, Height: 128}, Runner: ort.Runner{}},
	)
	if err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(filepath.Join(dir, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := evaluator.Open(b, evaluator.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.ReadReference(t.Context(), footage(t, filepath.Join(dir, "normal", "images"))); err != nil {
		t.Fatal(err)
	}
	names := []string{"rba", "maskomaly", "m2a", "eam", "gmmseg"}
	rows, err := e.Rows(names, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	var maps [][]float32
	for i, row := range rows {
		score := row.Score
		rows[i].Score = func(ctx context.Context, x *method.Encoded) (*detector.Map, error) {
			m, err := score(ctx, x)
			if err == nil {
				maps = append(maps, slices.Clone(m.Values))
			}
			return m, err
		}
	}
	set, err := dataset.Open("folder", filepath.Join(dir, "set"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := e.Dataset(t.Context(), set, opencv.ReadImage, rows, eval.Options{FPR: eval.FPRNearest})
	if err != nil || len(table) != len(names) {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	for i, r := range table {
		m := maps[i]
		if r.Method != names[i] || !(r.AUROC >= 0 && r.AUROC <= 1) {
			t.Errorf("row %d: %+v", i, r)
		}
		if low, high := slices.Min(m), slices.Max(m); !(high > low) || math.IsInf(float64(high), 0) || math.IsInf(float64(low), 0) {
			t.Errorf("%s: values from %v to %v", r.Method, low, high)
		}
		for j := range i {
			if slices.Equal(m, maps[j]) {
				t.Errorf("%s and %s have the same map", r.Method, names[j])
			}
		}
	}
}
