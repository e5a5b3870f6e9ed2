// Command labelstream pastes real objects into real footage. It writes the video DIR/clip.avi; its truth, a mask of every
// -every-th frame, DIR/truth/N.png (0 normal, 1 anomalous, 255 the soft outline of an object); and the places of the objects,
// DIR/objects.json. The same flags give the same pictures.
//
//	go run ./ingest/ingesttest/labelstream -out normal -frames 240 -objects 0
//	go run ./ingest/ingesttest/labelstream -out pasted -first 400 -frames 380 -objects 12
//	go run ./ingest/ingesttest/labelstream -out road -source DASHCAM -road 0.51,0.567 -step 2 -frames 110 -names apple,box
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

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
	names := flags.String("names", strings.Join(ingesttest.ObjectNames(), ","), "what may be pasted")
	road := flags.String("road", "", "the footage drives along a road that vanishes at X,Y, in fractions of the picture: objects lie on it")
	step := flags.Int("step", 1, "take every n-th frame of the footage")
	seed := flags.Uint64("seed", 1, "decides which objects appear and where they move")
	every := flags.Int("every", 1, "write the truth of every n-th frame")
	out := flags.String("out", "", "folder to write to (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || *frames < 1 || *first < 0 || *objects < 0 || *every < 1 || *step < 1 || flags.NArg() > 0 {
		return errors.New("want -out DIR, -frames, -step and -every of at least 1, -first and -objects of at least 0")
	}
	s := ingesttest.Stream{Source: *source, First: *first, Frames: *frames, Step: *step}
	if *road == "" {
		s.Places = ingesttest.Places(*seed, *objects, 0, *frames, strings.Split(*names, ",")...)
	} else {
		var x, y float64
		if _, err := fmt.Sscanf(*road, "%f,%f", &x, &y); err != nil {
			return fmt.Errorf("-road: got %q, want X,Y: %w", *road, err)
		}
		s.Places = ingesttest.RoadPlaces(*seed, *objects, 0, *frames, ingesttest.Point{X: x, Y: y}, strings.Split(*names, ","))
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
