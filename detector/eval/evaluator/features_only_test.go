package evaluator_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// An encoder without classes is evaluated with every method that reads no class logits; the others say what is missing.
func TestFeaturesOnly(t *testing.T) {
	dir := t.TempDir()
	pictures(t, filepath.Join(dir, "set"), 2, true)
	pictures(t, filepath.Join(dir, "normal"), 3, false)
	raw, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	model, err := graph.Parse(raw)
	if err == nil {
		err = model.KeepOutputs("features")
	}
	if err != nil {
		t.Fatal(err)
	}
	m := models.DefaultManifest()
	m.Name, m.Encoder = "mean", orttest.Spec()
	m.Encoder.Classes = []string{}
	bundle := filepath.Join(dir, "bundle")
	if err := models.Write(bundle, m, map[string][]byte{models.EncoderFile: model.Marshal()}); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(bundle)
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
	rows, err := e.Rows([]string{method.All}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rows {
		names = append(names, r.Method)
	}
	if got := strings.Join(names, " "); got != "knn mahalanobis residual neco" {
		t.Errorf("rows %q, want those without classes", got)
	}
	set, err := dataset.Open("folder", filepath.Join(dir, "set"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := e.Dataset(t.Context(), set, opencv.ReadImage, rows, eval.Options{FPR: eval.FPRNearest})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range table {
		if !(r.AUROC > 0.5) {
			t.Errorf("%s: AUROC %v, no better than chance", r.Method, r.AUROC)
		}
	}
	for _, name := range []string{"lse", "msp", "maxlogit", "entropy", "cdnp", "gmm", "gmmseg"} {
		if _, err := e.Rows([]string{name}, []int{1}); !errors.Is(err, method.ErrNeedsClasses) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want ErrNeedsClasses", name, err)
		}
	}
}
