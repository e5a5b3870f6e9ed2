package ort_test

import (
	"context"
	"fmt"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// The built-in bundle scores one picture with the first five timesteps of its order.
func ExampleOpenEngine() {
	bundle, err := models.Open(models.Embedded)
	if err != nil {
		panic(err)
	}
	cfg := detector.DefaultConfig()
	cfg.Timesteps, cfg.Width, cfg.Height = 5, 512, 256
	engine, err := ort.OpenEngine(bundle, cfg, ort.Options{})
	if err != nil {
		panic(err)
	}
	defer engine.Close()

	picture := ingest.NewFrame(640, 320) // packed RGB
	copy(picture.Pix, models.GoldenImage(picture.Width, picture.Height))
	m, err := engine.Detector.Score(context.Background(), picture) // takes the frame over
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s: %d×%d values with %d timesteps for a picture of %d×%d\n",
		m.Bundle, m.Width, m.Height, len(m.Timesteps), m.ImageWidth, m.ImageHeight)
	fmt.Println("anomalous:", m.Peak > m.Threshold)
	// Output:
	// roadscene-s: 64×32 values with 5 timesteps for a picture of 640×320
	// anomalous: true
}
