package files

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/npy"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish/overlay"
)

// video writes the results of a video's frames one by one.
type video struct {
	Writer
	in     string
	rate   float64 // frames per second of the overlay video
	array  *npy.Writer
	out    *opencv.VideoWriter
	layer  *overlay.Layer
	frames []Score

	first         []byte // overlay of the first frame
	width, height int
}

// video writes scores on the map's own grid as one array [frames, height, width], an overlay video, and a JSON list.
func (w Writer) video(ctx context.Context, path string) (Summary, error) {
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	src, err := source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true})
	if err != nil {
		return Summary{}, err
	}
	v := &video{Writer: w, in: path, rate: cfg.FPS, layer: overlay.NewLayer()}
	if err = src.Run(ctx, v.frame); ctx.Err() != nil { // a source that is stopped ends without an error
		err = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if err = errors.Join(err, v.close(err != nil)); err != nil {
		return Summary{}, err
	}
	if len(v.frames) == 0 {
		return Summary{}, fmt.Errorf("score %q: %w", path, ingest.ErrUnreadable)
	}
	if w.wants(JSON) {
		err = writeJSON(w.path(path, "_scores.json"), v.frames)
	}
	return summarise(path, v.frames), err
}

func (v *video) frame(ctx context.Context, f *ingest.Frame) error {
	defer f.Release()
	m, err := v.Detector.Score(ctx, f.Retain())
	if err != nil {
		return fmt.Errorf("score %q: %w", v.in, err)
	}
	v.frames = append(v.frames, newScore(filepath.Base(v.in), m))
	if v.wants(NPY) {
		if v.array == nil {
			if v.array, err = npy.Create(v.path(v.in, "_scores.npy"), m.Height, m.Width); err != nil {
				return err
			}
		}
		if err := v.array.Append(m.Values); err != nil {
			return err
		}
	}
	if v.wants(Overlay) {
		return v.overlay(f, m)
	}
	return nil
}

// overlay writes the frame with the map over it. The first frame waits for the second, which tells the frame rate.
func (v *video) overlay(f *ingest.Frame, m *detector.Map) (err error) {
	rgb := painted(v.layer, f, m)
	if v.out == nil && len(v.frames) == 1 {
		v.first, v.width, v.height = rgb, f.Width, f.Height
		return nil
	}
	if v.out == nil {
		if f.PTS > 0 {
			v.rate = float64(len(v.frames)-1) / f.PTS.Seconds()
		}
		if err := v.openOut(); err != nil {
			return err
		}
	}
	return v.out.Write(rgb)
}

func (v *video) openOut() (err error) {
	v.out, err = opencv.CreateVideo(v.path(v.in, "_overlay.mp4"), v.rate, v.width, v.height)
	if err != nil {
		return err
	}
	return v.out.Write(v.first)
}

// close finishes the files. It drops the array of a video that was not scored to its end, because it would look whole.
func (v *video) close(cutShort bool) error {
	var err error
	switch {
	case v.array == nil:
	case cutShort:
		err = v.array.Discard()
	default:
		err = v.array.Close()
	}
	if v.out == nil && v.first != nil && !cutShort {
		err = errors.Join(err, v.openOut()) // a video of one frame
	}
	if v.out != nil {
		err = errors.Join(err, v.out.Close())
	}
	return err
}
