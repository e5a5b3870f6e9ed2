package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// videoScore writes what a video's frames give, frame by frame.
type videoScore struct {
	cmd    *ScoreCmd
	path   string
	d      *detector.Detector
	rate   float64
	npy    *npyWriter
	out    *opencv.VideoWriter
	frames []frameScore
	full   []float32

	first         []byte // overlay of the first frame
	width, height int
}

// video scores a video: scores on the map's own grid as one array [frames, height, width], an overlay video, and a JSON
// list.
func (c *ScoreCmd) video(e *env, d *detector.Detector, path string) (string, error) {
	cfg := ingest.DefaultConfig()
	cfg.URI = path
	src, err := source.New(cfg, ingest.NewPool(4), source.Settings{MayWait: true})
	if err != nil {
		return "", err
	}
	v := &videoScore{cmd: c, path: path, d: d, rate: cfg.FPS}
	if err = src.Run(e, v.frame); e.Err() != nil { // a source ends without an error when it is stopped
		err = fmt.Errorf("interrupted: %w", e.Err())
	}
	if err = errors.Join(err, v.close(err != nil)); err != nil {
		return "", err
	}
	if len(v.frames) == 0 {
		return "", fmt.Errorf("score %q: %w", path, ingest.ErrUnreadable)
	}
	if c.wants("json") {
		err = writeJSON(e, c.path(path, "_scores.json"), v.frames)
	}
	return v.line(), err
}

func (v *videoScore) line() string {
	var mean frameScore
	n := float64(len(v.frames))
	for _, s := range v.frames {
		mean.Peak = max(mean.Peak, s.Peak)
		mean.AnomalousPart += s.AnomalousPart / n
		mean.EncodeMS += s.EncodeMS / n
		mean.ScoreMS += s.ScoreMS / n
	}
	last := v.frames[len(v.frames)-1]
	mean.Threshold, mean.Timesteps, mean.Provider = last.Threshold, last.Timesteps, last.Provider
	return scoreLine(v.path, len(v.frames), mean)
}

func (v *videoScore) frame(ctx context.Context, f *ingest.Frame) error {
	defer f.Release()
	m, err := v.d.Score(ctx, f.Retain())
	if err != nil {
		return fmt.Errorf("score %q: %w", v.path, err)
	}
	v.frames = append(v.frames, newFrameScore(filepath.Base(v.path), m))
	if v.cmd.wants("npy") {
		if v.npy == nil {
			if v.npy, err = createNPY(v.cmd.path(v.path, "_scores.npy"), m.Height, m.Width); err != nil {
				return err
			}
		}
		if err := v.npy.append(m.Values); err != nil {
			return err
		}
	}
	if v.cmd.wants("overlay") {
		return v.overlay(f, m)
	}
	return nil
}

// overlay writes the frame with the map over it. The video opens with the second frame, when its rate is known; until then
// the first waits.
func (v *videoScore) overlay(f *ingest.Frame, m *detector.Map) (err error) {
	v.full = m.ResizeTo(v.full, f.Width, f.Height)
	rgb := overlay(f.Pix, v.full, m.Threshold)
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

func (v *videoScore) openOut() (err error) {
	v.out, err = opencv.CreateVideo(v.cmd.path(v.path, "_overlay.mp4"), v.rate, v.width, v.height)
	if err != nil {
		return err
	}
	return v.out.Write(v.first)
}

// close finishes the files. Of a video that was not scored to its end the array is not kept: it would look whole.
func (v *videoScore) close(cutShort bool) error {
	var err error
	switch {
	case v.npy == nil:
	case cutShort:
		err = v.npy.f.Cleanup()
	default:
		err = v.npy.close()
	}
	if v.out == nil && v.first != nil && !cutShort {
		err = errors.Join(err, v.openOut()) // a video of one frame
	}
	if v.out != nil {
		err = errors.Join(err, v.out.Close())
	}
	return err
}
