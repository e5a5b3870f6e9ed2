// Command labelstream pastes real objects into real footage. It writes the video DIR/clip.avi; its truth, a mask of every
// -every-th frame, DIR/truth/N.png (0 normal, 1 anomalous, 255 the soft outline of an object); and the places of the objects,
// DIR/objects.json. The same flags give the same pictures.
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
	objects := flags.Int("objects", 12, "number of objects; 0 leaves the footage unchanged and writes no truth")
	seed := flags.Uint64("seed", 1, "decides which objects appear and where they move")
	every := flags.Int("every", 1, "write the truth of every n-th frame")
	out := flags.String("out", "", "folder to write to (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || *frames < 1 || *first < 0 || *objects < 0 || *every < 1 || flags.NArg() > 0 {
		return errors.New("want -out DIR, -frames and -every of at least 1, -first and -objects of at least 0")
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
	fmt.Printf("%s: %d frames of %dx%d at %g per second, %d objects\n", l.Path, l.Frames, l.Width, l.Height, l.FPS, *objects)
	return nil
}
