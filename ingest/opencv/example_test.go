package opencv_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "oodcast")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for i, side := range []int{32, 48} {
		path := filepath.Join(dir, fmt.Sprintf("frame%d.png", i))
		if err := opencv.WriteImage(path, side, side, make([]byte, 3*side*side)); err != nil {
			fmt.Println(err)
			return
		}
	}
	cfg := ingest.DefaultConfig()
	cfg.Name, cfg.URI = "yard", dir
	pool := ingest.NewPool(2)
	src, err := opencv.New(cfg, pool)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = src.Run(context.Background(), func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		fmt.Printf("%s %d at %v: %dx%d\n", f.Camera, f.Seq, f.PTS, f.Width, f.Height)
		return nil
	})
	fmt.Println(err, pool.InFlight())
	// Output:
	// yard 0 at 0s: 32x32
	// yard 1 at 100ms: 48x48
	// <nil> 0
}

// One operation is one frame of 768x576: decoded, converted to RGB, handed over.
func BenchmarkFile(b *testing.B) {
	cfg := config(vtest)
	cfg.Loop = true
	src, err := opencv.New(cfg, ingest.NewPool(3))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	b.ReportAllocs()
	n := 0
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		f.Release()
		if n++; n == b.N {
			stop()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
