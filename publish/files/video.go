package files

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/npy"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/publish/overlay"
)

// video writes the results of a video's frames one by one. The first frame fixes the size of the array's maps and of the
// overlay film: later frames of another size are resized to it.
type video struct {
	Writer
	in      string
	rate    float64 // usual number of frames per second of the overlay film
	array   *npy.Writer
	out     *ffmpeg.Writer
	layer   *overlay.Layer
	frames  []Score
	resized int // frames that differ from the first in size

	err    error     // of frame
	maps   []float32 // of the last resized frame
	pixels []byte
}

// video writes scores on the map's own grid as one array [frames, height, width], an overlay video, and a JSON list.
func (w Writer) video(ctx context.Context, path string) (Summary, error) {
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	src, err := source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true})
	if err != nil {
		return Summary{}, &InputError{err}
	}
	v := &video{Writer: w, in: path, rate: cfg.FPS, layer: overlay.NewLayer()}
	err = src.Run(ctx, func(ctx context.Context, f *ingest.Frame) error {
		v.err = v.frame(ctx, f)
		return v.err
	})
	switch {
	case ctx.Err() != nil: // a source that is stopped ends without an error
		err = fmt.Errorf("interrupted: %w", ctx.Err())
	case v.err != nil:
		err = v.err
	case err == nil && len(v.frames) == 0:
		err = &InputError{fmt.Errorf("score %q: %w", path, ingest.ErrUnreadable)}
	case err != nil:
		err = &InputError{err}
	}
	if err = errors.Join(err, v.close(err != nil)); err != nil {
		return Summary{}, err
	}
	if w.wants(JSON) {
		err = writeJSON(w.path(path, "_scores.json"), v.frames)
	}
	sum := summarise(path, v.frames)
	sum.Resized = v.resized
	return sum, err
}

func (v *video) frame(ctx context.Context, f *ingest.Frame) error {
	defer f.Release()
	m, err := v.Detector.Score(ctx, f.Retain())
	if err != nil {
		return fmt.Errorf("score %q: %w", v.in, err)
	}
	v.frames = append(v.frames, newScore(filepath.Base(v.in), m))
	if f.Width != v.frames[0].Width || f.Height != v.frames[0].Height {
		v.resized++
	}
	if v.wants(NPY) {
		if err := v.append(m); err != nil {
			return err
		}
	}
	if v.wants(Overlay) {
		return v.overlay(f, m)
	}
	return nil
}

// append adds the map to the array, on the grid of the first map.
func (v *video) append(m *detector.Map) (err error) {
	first := v.frames[0]
	if v.array == nil {
		if v.array, err = npy.Create(v.path(v.in, "_scores.npy"), first.MapHeight, first.MapWidth); err != nil {
			return err
		}
	}
	values := m.Values
	if m.Width != first.MapWidth || m.Height != first.MapHeight {
		v.maps = m.ResizeTo(v.maps, first.MapWidth, first.MapHeight)
		values = v.maps
	}
	return v.array.Append(values)
}

// overlay writes the frame with the map over it, in the size of the first frame and at the frame's own time.
func (v *video) overlay(f *ingest.Frame, m *detector.Map) (err error) {
	first := v.frames[0]
	if v.out == nil {
		if v.out, err = ffmpeg.Create(v.path(v.in, "_overlay.mp4"), first.Width, first.Height, v.rate); err != nil {
			return err
		}
	}
	rgb := painted(v.layer, f, m)
	if f.Width != first.Width || f.Height != first.Height {
		if n := 3 * first.Width * first.Height; len(v.pixels) != n {
			v.pixels = make([]byte, n)
		}
		if err := opencv.Scale(v.pixels, first.Width, first.Height, rgb, f.Width, f.Height); err != nil {
			return fmt.Errorf("score %q: %w", v.in, err)
		}
		rgb = v.pixels
	}
	return v.out.Write(rgb, f.PTS)
}

// close finishes the files. It drops those of a video that was not scored to its end, because they would look whole.
func (v *video) close(cutShort bool) error {
	var err error
	if v.array != nil {
		if cutShort {
			err = v.array.Discard()
		} else {
			err = v.array.Close()
		}
	}
	if v.out == nil {
		return err
	}
	if cutShort {
		return errors.Join(err, v.out.Discard())
	}
	return errors.Join(err, v.out.Close())
}
