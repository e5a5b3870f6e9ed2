package evaluator_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// The bundles that make deps puts together compute what they computed when they were made, and find obstacles: AP on the
// first six pictures of RoadObstacle21, at |T|=1.
func TestInstalledBundles(t *testing.T) {
	for name, least := range map[string]float64{models.Default: 0.88, models.Large: 0.88} {
		t.Run(name, func(t *testing.T) {
			b, err := models.Open(name)
			if errors.Is(err, models.ErrNotFound) || err == nil && b.Substitute != "" {
				t.Skipf("SKIPPED: %s was not tested: run make deps, where PyPI can be reached", name)
			}
			if err != nil {
				t.Fatal(err)
			}
			if check, err := (ort.Runner{}).CheckGolden(b); err != nil || check == nil {
				t.Errorf("CheckGolden() = %+v, %v", check, err)
			}
			data := os.Getenv("OODCAST_DATA")
			if data == "" {
				t.Skip("SKIPPED: what the bundle detects was not tested: OODCAST_DATA is not set")
			}
			set, err := dataset.Open("roadobstacle21", filepath.Join(data, "roadobstacle21"))
			if err != nil {
				t.Fatal(err)
			}
			set.Items = set.Items[:6]
			e, err := evaluator.Open(b, evaluator.Options{Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			rows, err := e.Rows([]string{"dood", "dood-diffusion", "contrast"}, []int{1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Dataset(t.Context(), set, opencv.ReadStored, rows, eval.Options{FPR: eval.FPRNearest})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("AP %.3f, diffusion alone %.3f, contrast alone %.3f", got[0].AP, got[1].AP, got[2].AP)
			if got[0].AP < least {
				t.Errorf("AP %.3f, want at least %.2f", got[0].AP, least)
			}
		})
	}
}
