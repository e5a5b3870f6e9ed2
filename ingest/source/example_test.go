package source_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// Read a film. Every frame comes, because the source may wait until a frame of the pool is free again.
func ExampleNew() {
	film, err := writeFilm(3)
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(filepath.Dir(film))

	cfg := ingest.DefaultConfig()
	cfg.Name, cfg.URI = "yard", film
	cfg.Width, cfg.Height = 320, 240
	pool := ingest.NewPool(2) // the memory of the film: two frames
	src, err := source.New(cfg, pool, source.Settings{MayWait: true})
	if err != nil {
		log.Fatal(err)
	}
	err = src.Run(context.Background(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release() // gives the frame back to the pool
		fmt.Printf("%s %d at %v: %dx%d, %d bytes\n", f.Camera, f.Seq, f.PTS, f.Width, f.Height, len(f.Pix))
		return nil
	})
	fmt.Println(err, pool.InFlight())
	// Output:
	// yard 0 at 0s: 320x240, 230400 bytes
	// yard 1 at 100ms: 320x240, 230400 bytes
	// yard 2 at 200ms: 320x240, 230400 bytes
	// <nil> 0
}

// writeFilm writes n black pictures of 640x480, 10 per second, to a folder of their own.
func writeFilm(n int) (path string, err error) {
	dir, err := os.MkdirTemp("", "oodcast")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "film.avi")
	w, err := opencv.CreateVideo(path, 10, 640, 480)
	if err != nil {
		return "", err
	}
	for range n {
		if err := w.Write(make([]byte, 3*640*480)); err != nil {
			return "", err
		}
	}
	return path, w.Close()
}
