package fit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// wall is footage of a wall that nothing happens in front of. Package ingest and those below it read real cameras and
// films.
type wall struct{ frames int }

func (w wall) Run(ctx context.Context, sink ingest.Sink) error {
	for n := range w.frames {
		f := ingest.NewFrame(256, 128)
		for i := range f.Pix {
			f.Pix[i] = byte(90 + i%7 + n%5)
		}
		if err := sink(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// The built-in bundle's encoder gets a denoiser of its own, trained on the footage of one camera. A real fit takes the
// default 1500 steps and a few minutes of footage.
func ExampleRun() {
	folder, err := os.MkdirTemp("", "fit-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		panic(err)
	}
	cfg := fit.DefaultConfig()
	cfg.Steps, cfg.Batch, cfg.Width = 5, 64, 16
	result, err := fit.Run(context.Background(), fit.Options{
		Config: cfg, Bundle: bundle, Out: filepath.Join(folder, "wall"), Name: "wall",
		Sources: []ingest.Source{wall{frames: 20}}, SourceNames: []string{"wall"},
	})
	if err != nil {
		panic(err)
	}
	fitted, err := models.Open(result.Out)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %d frames to train on, %d to calibrate on, %d steps\n",
		fitted.Name, result.Frames, result.CalibrationFrames, result.Steps)
	// Output: wall: 16 frames to train on, 4 to calibrate on, 5 steps
}
