package pipeline_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/pipeline"
	"github.com/oodcast/oodcast/publish/schema"
)

// sizes is an outlet that prints the grid of every map.
type sizes struct{}

func (sizes) Map(m *detector.Map) {
	fmt.Printf("%s: map %d of frame %d has %d×%d values, |T|=%d\n", m.Camera, m.Seq, m.FrameSeq, m.Width, m.Height, len(m.Timesteps))
}

func (sizes) Run(ctx context.Context) error                 { <-ctx.Done(); return nil }
func (sizes) WaitReady(context.Context) error               { return nil }
func (sizes) AddCamera(schema.Camera) error                 { return nil }
func (sizes) RemoveCamera(string) error                     { return nil }
func (sizes) StatusChanged()                                {}
func (sizes) Frame(f *ingest.Frame)                         { f.Release() }
func (sizes) Events(seen events.Observation) []events.Event { return seen.Events }
func (sizes) FramesHeld() int                               { return 0 }

// A pipeline scores a folder of pictures with the built-in bundle and ends with the last one.
func Example() {
	folder, err := os.MkdirTemp("", "frames")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	for i := range 2 {
		picture := make([]byte, 3*256*128)
		if err := opencv.WriteImage(filepath.Join(folder, fmt.Sprintf("%d.png", i)), 256, 128, picture); err != nil {
			log.Fatal(err)
		}
	}

	camera := pipeline.CameraConfig{
		Source: ingest.DefaultConfig(), Queue: pipeline.DefaultQueueConfig(), Bundle: models.Embedded,
		Detector: detector.DefaultConfig(), Events: events.DefaultConfig(),
	}
	camera.Source.Name, camera.Source.URI = "yard", folder // or rtsp://…
	cfg := pipeline.Config{Site: "home", Batch: pipeline.DefaultBatch(), Cameras: []pipeline.CameraConfig{camera}}
	p, err := pipeline.New(cfg, pipeline.Outlets{sizes{}}, pipeline.WithExitOnEnd(),
		pipeline.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// yard: map 0 of frame 0 has 32×16 values, |T|=5
	// yard: map 1 of frame 1 has 32×16 values, |T|=5
}
