package evaluator_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// A bundle is evaluated on the images of a data set, at two |T|.
func ExampleEvaluator_Dataset() {
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		log.Fatal(err)
	}
	e, err := evaluator.Open(bundle, evaluator.Options{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	rows, err := e.Rows([]string{"dood"}, []int{1, 5})
	if err != nil {
		log.Fatal(err)
	}
	set, err := dataset.Open("folder", "../testdata/folder")
	if err != nil {
		log.Fatal(err)
	}
	table, err := e.Dataset(context.Background(), set, opencv.ReadStored, rows, eval.Options{FPR: eval.FPRNearest})
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range table {
		fmt.Printf("%s, |T| = %d: %d images, %d pixels, better than chance: %v\n",
			m.Method, m.Timesteps, m.Images, m.Pixels, m.AUROC > 0.5)
	}
	// Output:
	// dood, |T| = 1: 3 images, 9024 pixels, better than chance: true
	// dood, |T| = 5: 3 images, 9024 pixels, better than chance: true
}

// A stream is judged with maps that take 250 ms, on frames that come every 100 ms.
func ExampleEvaluator_Stream() {
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		log.Fatal(err)
	}
	e, err := evaluator.Open(bundle, evaluator.Options{Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	rows, err := e.Rows([]string{"dood"}, []int{1})
	if err != nil {
		log.Fatal(err)
	}
	cfg := ingest.DefaultConfig()
	cfg.URI = "../testdata/folder/images" // a folder of pictures, or a video
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		log.Fatal(err)
	}
	truth, err := stream.OpenTruth("../testdata/folder/times.txt") // or a folder of masks
	if err != nil {
		log.Fatal(err)
	}
	opts := stream.DefaultOptions()
	opts.FPS, opts.Latency = 10, 250*time.Millisecond
	results, err := e.Stream(context.Background(), src, truth, rows, opts)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Printf("%s, |T| = %d: %d frames in %.1f s, %.0f %% of them scored, judged by %s\n",
			r.Method, r.Timesteps, r.Frames, r.Seconds, 100*r.Streaming.Scored, r.Level)
	}
	// Output:
	// dood, |T| = 1: 3 frames in 0.3 s, 67 % of them scored, judged by frame
}
