package ingesttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// Stream is footage into which known objects are pasted.
type Stream struct {
	// Source is the footage. The stream consists of Frames of its frames: First, First+Step, …; a Step of 0 is 1.
	Source              string
	First, Frames, Step int
	Places              []Placement // their frames count from First
	Foreground          []Occluder
}

// Labelled is a Stream that was written.
type Labelled struct {
	Path          string
	Width, Height int
	Frames        int
	FPS           float64

	paster *Paster
}

// Mask is the truth of frame i: one label per pixel, row by row.
func (l *Labelled) Mask(i int) []byte { return l.paster.Paste(nil, i) }

// Places returns where the objects are.
func (l *Labelled) Places() []Placement { return l.paster.Places }

// fps is the rate of the written videos.
const fps = 10

// Write writes the pictures to the video dst, an .mp4 or .avi file, and the truth of every stride-th frame to masks/N.png. It
// writes no truth when masks is empty.
func (s Stream) Write(ctx context.Context, dst, masks string, stride int) (l *Labelled, err error) {
	var out *opencv.VideoWriter
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	return s.each(ctx, dst, func(l *Labelled, i int, rgb, mask []byte) (err error) {
		if out == nil {
			if out, err = opencv.CreateVideo(dst, fps, l.Width, l.Height); err != nil {
				return err
			}
		}
		if masks != "" && i%stride == 0 {
			if err := WriteMask(filepath.Join(masks, fmt.Sprintf("%06d.png", i)), mask, l.Width); err != nil {
				return err
			}
		}
		return out.Write(rgb)
	})
}

// WriteFolder writes every stride-th picture to dir/images/N.png and its truth to dir/labels_masks/N.png, without loss and in
// the layout of the anomaly segmentation benchmarks.
func (s Stream) WriteFolder(ctx context.Context, dir string, stride int) (*Labelled, error) {
	if err := os.MkdirAll(filepath.Join(dir, "images"), 0o755); err != nil {
		return nil, err
	}
	return s.each(ctx, dir, func(l *Labelled, i int, rgb, mask []byte) error {
		if i%stride != 0 {
			return nil
		}
		name := fmt.Sprintf("%06d.png", i)
		return errors.Join(
			opencv.WriteImage(filepath.Join(dir, "images", name), l.Width, l.Height, rgb),
			WriteMask(filepath.Join(dir, "labels_masks", name), mask, l.Width))
	})
}

// WriteObjects writes the placements to a JSON file.
func (s Stream) WriteObjects(path string) error {
	raw, err := json.MarshalIndent(s.Places, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644) //nolint:gosec // results are for everyone
}

// WriteMask writes labels as an 8-bit grey PNG and creates its folder.
func WriteMask(path string, labels []byte, width int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = png.Encode(f, &image.Gray{Pix: labels, Stride: width, Rect: image.Rect(0, 0, width, len(labels)/width)})
	return errors.Join(err, f.Close())
}

// each pastes the objects into every frame and calls do with the frame's number, its pixels and its truth.
func (s Stream) each(
	ctx context.Context, path string, do func(l *Labelled, i int, rgb, mask []byte) error,
) (*Labelled, error) {
	l := &Labelled{Path: path, FPS: fps}
	err := eachFrame(ctx, s.Source, s.First, s.Frames, max(1, s.Step), func(f *ingest.Frame) (err error) {
		if l.paster == nil {
			l.Width, l.Height = f.Width, f.Height
			if l.paster, err = NewPaster(f.Width, f.Height, s.Places, s.Foreground); err != nil {
				return err
			}
		}
		rgb := append([]byte(nil), f.Pix...)
		i := l.Frames
		l.Frames++
		return do(l, i, rgb, l.paster.Paste(rgb, i))
	})
	if err == nil && l.Frames == 0 {
		err = fmt.Errorf("label %q: the footage has no frame %d", s.Source, s.First)
	}
	return l, err
}

// WriteLabelled is Stream.Write for tests. It writes no truth.
func WriteLabelled(tb testing.TB, dst, src string, first, n int, places []Placement) *Labelled {
	tb.Helper()
	l, err := Stream{Source: src, First: first, Frames: n, Places: places}.Write(tb.Context(), dst, "", 1)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// WriteLabelledFolder is Stream.WriteFolder for tests.
func WriteLabelledFolder(tb testing.TB, dir, src string, first, n, stride int, places []Placement) *Labelled {
	tb.Helper()
	l, err := Stream{Source: src, First: first, Frames: n, Places: places}.WriteFolder(tb.Context(), dir, stride)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// errEnough ends a run after the last wanted frame.
var errEnough = errors.New("enough frames")

// eachFrame calls do with n frames of a video: first, first+step, ….
func eachFrame(ctx context.Context, path string, first, n, step int, do func(*ingest.Frame) error) error {
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	src, err := source.New(cfg, ingest.NewPool(2), source.Settings{MayWait: true})
	if err != nil {
		return err
	}
	err = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
		defer f.Release()
		if f.Seq >= uint64(first+n*step) {
			return errEnough
		}
		if f.Seq < uint64(first) || (f.Seq-uint64(first))%uint64(step) != 0 {
			return nil
		}
		return do(f)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
