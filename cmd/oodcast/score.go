package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/ingest/source"
)

// ScoreCmd writes anomaly maps of images and videos.
type ScoreCmd struct {
	Input         []string `arg:"" placeholder:"INPUT" help:"Images, folders of images, videos."`
	Bundle        string   `default:"roadscene" placeholder:"B" help:"A name or a folder."`
	Out           string   `required:"" placeholder:"DIR" help:"Folder for the results; made when it is not there."`
	Format        []string `enum:"npy,png,overlay,json" default:"npy,png,overlay,json" help:"What to write: npy, png, overlay, json."`
	Quiet         bool     `short:"q" help:"Print no line for each input."`
	detectorFlags `embed:""`
	providerFlags `embed:""`
}

// frameScore is the JSON of one frame.
type frameScore struct {
	Source        string        `json:"source"`
	Frame         uint64        `json:"frame"`
	PTS           time.Duration `json:"pts_ns"`
	Width         int           `json:"width"`
	Height        int           `json:"height"`
	MapWidth      int           `json:"map_width"`
	MapHeight     int           `json:"map_height"`
	Peak          float32       `json:"peak"`
	Mean          float32       `json:"mean"`
	Threshold     float32       `json:"threshold"`
	AnomalousPart float64       `json:"anomalous_part"`
	Timesteps     []int         `json:"timesteps"`
	Bundle        string        `json:"bundle"`
	Provider      string        `json:"provider"`
	EncodeMS      float64       `json:"encode_ms"`
	ScoreMS       float64       `json:"score_ms"`
}

func newFrameScore(source string, m *detector.Map) frameScore {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return frameScore{
		Source: source, Frame: m.FrameSeq, PTS: m.PTS, Width: m.ImageWidth, Height: m.ImageHeight,
		MapWidth: m.Width, MapHeight: m.Height, Peak: m.Peak, Mean: m.Mean, Threshold: m.Threshold,
		AnomalousPart: m.AboveThreshold(), Timesteps: m.Timesteps, Bundle: m.Bundle, Provider: m.Provider,
		EncodeMS: ms(m.Latency.Encode), ScoreMS: ms(m.Latency.Score),
	}
}

// Run scores every input.
func (c *ScoreCmd) Run(e *env) error {
	inputs, err := c.inputs()
	if err != nil {
		return err
	}
	engine, _, err := openEngine(e, c.Bundle, c.detectorFlags, c.providerFlags)
	if err != nil {
		return err
	}
	err = c.score(e, engine, inputs)
	return errors.Join(err, engine.Close())
}

func (c *ScoreCmd) score(e *env, engine *ort.Engine, inputs []string) error {
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, path := range inputs {
		if err := e.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		one := c.image
		if !opencv.IsPicture(path) {
			one = c.video
		}
		line, err := one(e, engine.Detector, path)
		if err != nil {
			return err
		}
		if !c.Quiet {
			fmt.Fprintln(e.Stdout, line)
		}
	}
	return nil
}

// inputs replaces folders by the pictures in them and refuses two inputs whose results would have the same name.
func (c *ScoreCmd) inputs() ([]string, error) {
	var paths []string
	for _, in := range c.Input {
		info, err := os.Stat(in)
		if err != nil {
			return nil, fmt.Errorf("score %q: %w", in, errors.Unwrap(err))
		}
		if !info.IsDir() {
			paths = append(paths, in)
			continue
		}
		pictures, err := source.Pictures(in)
		if err != nil {
			return nil, err
		}
		paths = append(paths, pictures...)
	}
	by := map[string]string{}
	for _, p := range paths {
		if other, ok := by[stem(p)]; ok {
			return nil, usagef("%q and %q would both be written as %q: score them into two folders", other, p, stem(p))
		}
		by[stem(p)] = p
	}
	return paths, nil
}

func stem(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func (c *ScoreCmd) wants(format string) bool { return slices.Contains(c.Format, format) }

func (c *ScoreCmd) path(in, suffix string) string { return filepath.Join(c.Out, stem(in)+suffix) }

// image scores one picture.
func (c *ScoreCmd) image(e *env, d *detector.Detector, path string) (string, error) {
	f, err := opencv.ReadImage(path)
	if err != nil {
		return "", err
	}
	m, err := d.Score(e, f.Retain())
	if err != nil {
		return "", fmt.Errorf("score %q: %w", path, err)
	}
	defer f.Release()
	full := m.ResizeTo(nil, f.Width, f.Height)
	if c.wants("npy") {
		err = errors.Join(err, writeNPY(c.path(path, "_scores.npy"), full, f.Height, f.Width))
	}
	if c.wants("png") {
		rgb := colourMap(full, m.Threshold)
		err = errors.Join(err, opencv.WriteImage(c.path(path, "_map.png"), f.Width, f.Height, rgb))
	}
	if c.wants("overlay") {
		rgb := overlay(f.Pix, full, m.Threshold)
		err = errors.Join(err, opencv.WriteImage(c.path(path, "_overlay.jpg"), f.Width, f.Height, rgb))
	}
	s := newFrameScore(filepath.Base(path), m)
	if c.wants("json") {
		err = errors.Join(err, writeJSON(e, c.path(path, "_scores.json"), s))
	}
	return scoreLine(path, 1, s), err
}

func scoreLine(path string, frames int, s frameScore) string {
	return fmt.Sprintf("%s: %d frame, peak %.2f, %.1f %% above %.2f, encode %.0f ms, score %.0f ms (|T|=%d, %s)", path, frames,
		s.Peak, 100*s.AnomalousPart, s.Threshold, s.EncodeMS, s.ScoreMS, len(s.Timesteps), s.Provider)
}
