package eval_test

import (
	"context"
	"fmt"
	"log"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
)

// Score files of any detector are measured against the masks of a data set.
func ExampleMeasure() {
	set, err := dataset.Open("folder", "testdata/folder") // images/a.png with labels_masks/a.png, and so on
	if err != nil {
		log.Fatal(err)
	}
	scores := set.ScoreFiles("testdata/folder/scores", "_scores.npy") // a_scores.npy, and so on
	row := eval.Result{Dataset: set.Name, Method: "mine"}
	m, err := eval.Measure(context.Background(), set, row, scores, eval.Options{FPR: eval.FPRNearest})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s on %d images: AP %.1f %%, AUROC %.1f %%, FPR95 %.1f %%\n", m.Method, m.Images, 100*m.AP, 100*m.AUROC, 100*m.FPR95)
	for _, im := range m.PerImage {
		fmt.Printf("%s: AP %.1f %%\n", im.Name, 100**im.AP)
	}
	// Output:
	// mine on 3 images: AP 88.9 %, AUROC 98.7 %, FPR95 6.7 %
	// a: AP 90.0 %
	// b: AP 89.7 %
	// c: AP 87.1 %
}
