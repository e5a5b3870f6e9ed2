// Command labelstream writes a video with real objects pasted into real footage, and its truth: DIR/clip.avi, a mask of
// every -every-th frame in DIR/truth/N.png (0 normal, 1 anomalous, 255 the soft outline of an object), and where the
// objects are in DIR/objects.json. The same flags give the same pictures.
//
//	go run ./ingest/ingesttest/labelstream -out normal -frames 240 -objects 0
//	go run ./ingest/ingesttest/labelstream -out pasted -first 400 -frames 380 -objects 12
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/oodcast/oodcast/ingest/ingesttest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "labelstream:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("labelstream", flag.ContinueOnError)
	source := flags.String("source", ingesttest.VTest, "footage")
	first := flags.Int("first", 0, "first frame of the footage")
	frames := flags.Int("frames", 380, "number of frames")
	objects := flags.Int("objects", 12, "number of objects; 0 leaves the footage as it is and writes no truth")
	seed := flags.Uint64("seed", 1, "decides which objects come and where they go")
	every := flags.Int("every", 1, "write the truth of every so many frames")
	out := flags.String("out", "", "folder to write to (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || *frames < 1 || *first < 0 || *objects < 0 || *every < 1 || flags.NArg() > 0 {
		return errors.New("want -out DIR, frames and every of 1 or more, first and objects of 0 or more")
	}
	s := ingesttest.Stream{
		Source: *source, First: *first, Frames: *frames, Places: ingesttest.Places(*seed, *objects, 0, *frames),
	}
	if *source == ingesttest.VTest {
		s.Foreground = ingesttest.VTestForeground()
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	truth := ""
	if *objects > 0 {
		truth = filepath.Join(*out, "truth")
		if err := s.WriteObjects(filepath.Join(*out, "objects.json")); err != nil {
			return err
		}
	}
	l, err := s.Write(ctx, filepath.Join(*out, "clip.avi"), truth, *every)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d frames of %dx%d at %g a second, %d objects\n", l.Path, l.Frames, l.Width, l.Height, l.FPS, *objects)
	return nil
}
