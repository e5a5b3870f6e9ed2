package classify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/nets"
)

// Options describe one training.
type Options struct {
	// Bundle is the bundle that gets the classes; it keeps its denoiser, which needs another calibration.
	Bundle *models.Bundle
	// Labels are the labelled frames. The label of a pixel is the number of its class, from 0.
	Labels *dataset.Dataset
	// Check are frames to measure the mean IoU on; nil: every fifth block of four frames of Labels is held back.
	Check *dataset.Dataset
	// Classes names the classes; pixels with other labels are left out. Empty: as many classes as the labels have but
	// dataset.Ignore, by number.
	Classes []string
	// Read reads a frame. Labels are in another file, so it must not turn the picture.
	Read func(path string) (*ingest.Frame, error)
	// Size is the working size of the new bundle, to which smaller frames are enlarged; 0: the given bundle's.
	Size models.Size
	// Out is the folder of the new bundle, Name its name; "" keeps that of the given bundle.
	Out, Name string
	// Source names the frames in the bundle's provenance.
	Source string
	// Steps is the number of optimiser steps; 0 stands for 2000.
	Steps int
	// Seed fixes sampling and batches.
	Seed uint64
	ORT  ort.Options
	// Progress is called while Run makes progress; it may be nil.
	Progress func(fit.Progress)
}

// Result describes the trained classifier.
type Result struct {
	Out      string    `json:"out"`
	Classes  []string  `json:"classes"`
	Frames   int       `json:"frames"` // to train on
	Cells    int       `json:"cells"`
	Steps    int       `json:"steps"`
	Loss     float64   `json:"loss"`
	Left     float64   `json:"left_out"` // share of the pixels whose label is no class
	Checked  int       `json:"checked"`  // frames that MeanIoU was measured on
	MeanIoU  float64   `json:"mean_iou"` // over the classes that occur in those
	IoU      []float64 `json:"iou"`      // of each class; -1 for one that does not occur
	Accuracy float64   `json:"accuracy"` // share of pixels
	Seconds  float64   `json:"seconds"`
	Provider string    `json:"provider"`
}

// The defaults of the training. With the features scaled to deviation 1, they do for 64 to 3072 channels.
const (
	defaultSteps = 2000
	batch        = 1024
	rate         = 0.02
	decay        = 1e-3
)

// ErrLabels means that no classifier can be trained on the labels.
var ErrLabels = errors.New("classify: unsuitable labels")

// run is one training in progress.
type run struct {
	opt      Options
	manifest models.Manifest
	result   Result
	sample   sample
	model    []byte
	golden   []byte
}

// Run trains the classifier and writes the bundle.
func Run(ctx context.Context, opt Options) (*Result, error) {
	if opt.Steps == 0 {
		opt.Steps = defaultSteps
	}
	if opt.Progress == nil {
		opt.Progress = func(fit.Progress) {}
	}
	r := &run{opt: opt, manifest: opt.Bundle.Manifest}
	begun := time.Now()
	if err := r.prepare(); err != nil {
		return nil, err
	}
	runtime, err := ort.Open("")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.run(ctx), runtime.Close()); err != nil {
		return nil, err
	}
	r.result.Seconds = time.Since(begun).Seconds()
	return &r.result, nil
}

// prepare finds out whatever would make the training fail at its end.
func (r *run) prepare() error {
	if r.opt.Name != "" {
		r.manifest.Name = r.opt.Name
	}
	if r.opt.Size != (models.Size{}) {
		r.manifest.Encoder.Size, r.manifest.Encoder.Enlarge = r.opt.Size, true
	}
	if err := r.manifest.Validate(); err != nil {
		return fmt.Errorf("classify: %w", err)
	}
	if err := models.CheckFolder(r.opt.Out); err != nil {
		return fmt.Errorf("classify: %w", err)
	}
	if len(r.opt.Classes) > 0 {
		return nil
	}
	last := -1
	for _, it := range r.opt.Labels.Items {
		labels, _, _, err := it.Labels()
		if err != nil {
			return err
		}
		for _, l := range labels {
			if l != dataset.Ignore {
				last = max(last, int(l))
			}
		}
	}
	for i := range last + 1 {
		r.opt.Classes = append(r.opt.Classes, fmt.Sprintf("class %d", i))
	}
	return nil
}

func (r *run) run(ctx context.Context) error {
	classes := len(r.opt.Classes)
	if classes < 2 || classes > dataset.Ignore {
		return fmt.Errorf("%w: %d classes, want 2 to %d", ErrLabels, classes, dataset.Ignore)
	}
	model, err := r.opt.Bundle.Encoder()
	if err != nil {
		return err
	}
	held, err := r.collect(ctx, model)
	if err != nil {
		return err
	}
	head, err := r.train(ctx)
	if err != nil {
		return err
	}
	r.sample = sample{}
	e := &r.manifest.Encoder
	e.Classes, e.LogitsStride = r.opt.Classes, models.MapStride(e.Stride)
	if r.model, err = nets.Classify(model, head, e.Stride/e.LogitsStride); err != nil {
		return err
	}
	if err := r.measure(ctx, held); err != nil {
		return err
	}
	return r.write()
}

// Every fifth block of frames is held back, as in a fit.
const (
	blockFrames = 4
	blocks      = 5
)

// split returns the frames to train on and those to measure on.
func (r *run) split() (train, held []dataset.Item) {
	if r.opt.Check != nil {
		return r.opt.Labels.Items, r.opt.Check.Items
	}
	for i, it := range r.opt.Labels.Items {
		if i/blockFrames%blocks == blocks-1 {
			held = append(held, it)
		} else {
			train = append(train, it)
		}
	}
	if len(held) == 0 && len(train) > 1 { // too few for blocks
		held, train = train[len(train)-1:], train[:len(train)-1]
	}
	return train, held
}

// collect samples cells of the frames to train on, and returns the others.
func (r *run) collect(ctx context.Context, model []byte) (held []dataset.Item, err error) {
	enc, err := ort.NewEncoder(model, r.opt.ORT)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, enc.Close()) }()
	r.result.Provider = string(enc.Provider())
	if enc.HasMasks() {
		return nil, errors.New("classify: the encoder of this bundle classifies masks, which a classifier of features would contradict")
	}
	train, held := r.split()
	r.sample = newSample(r.manifest.Encoder.Channels, len(r.opt.Classes))
	rnd := rand.New(rand.NewPCG(r.opt.Seed, 1))
	begun := time.Now()
	for i, it := range train {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, labels, err := r.encode(ctx, enc, it)
		if err != nil {
			return nil, err
		}
		if err := r.sample.add(rnd, e, labels); err != nil {
			return nil, fmt.Errorf("classify: %q: %w", it.Image, err)
		}
		r.opt.Progress(fit.Progress{Phase: fit.Features, Frames: i + 1, Tokens: r.sample.cells(), Elapsed: time.Since(begun)})
	}
	r.result.Frames, r.result.Cells = len(train), r.sample.cells()
	r.result.Left = float64(r.sample.left) / max(1, float64(r.sample.pixels))
	return held, r.sample.check(r.opt.Classes)
}

// picture are the labels of a frame.
type picture struct {
	labels        []uint8
	width, height int
}

// encode encodes a frame as the detector does and reads its labels. The encoding is valid until the next call.
func (r *run) encode(ctx context.Context, enc detector.Encoder, it dataset.Item) (*detector.Encoding, picture, error) {
	var p picture
	f, err := r.opt.Read(it.Image)
	if err != nil {
		return nil, p, err
	}
	defer f.Release()
	if p.labels, p.width, p.height, err = it.Labels(); err != nil {
		return nil, p, err
	}
	if p.width != f.Width || p.height != f.Height {
		return nil, p, fmt.Errorf("%w: %q has %d×%d pixels, its labels %q %d×%d", ErrLabels, it.Image, f.Width, f.Height, it.Label, p.width, p.height)
	}
	w, h := detector.FitSize(f.Width, f.Height, r.manifest.Encoder)
	e, err := enc.Encode(ctx, f, w, h)
	return e, p, err
}

// newClasses is why the bundle needs another calibration.
const newClasses = "its classes are new, and with them its uncertainty"

// write writes the bundle.
func (r *run) write() error {
	b, m := r.opt.Bundle, &r.manifest
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if name == models.CalibrationFile {
			continue
		}
		raw, err := b.ReadFile(name)
		if err != nil {
			return err
		}
		files[name] = raw
	}
	if m.Denoiser != nil {
		m.Uncalibrated = newClasses
	}
	res := &r.result
	m.Provenance = maps.Clone(m.Provenance)
	if m.Provenance == nil {
		m.Provenance = map[string]any{}
	}
	m.Provenance["classes"] = map[string]any{
		"labels": r.opt.Source, "frames": res.Frames, "cells": res.Cells, "steps": res.Steps, "seed": r.opt.Seed, "loss": res.Loss,
		"checked": res.Checked, "mean_iou": res.MeanIoU, "accuracy": res.Accuracy,
	}
	files[models.EncoderFile], files[models.GoldenFile] = r.model, r.golden
	files[models.CardFile] = r.card(files[models.CardFile])
	res.Out, res.Classes = r.opt.Out, slices.Clone(r.opt.Classes)
	return models.Write(r.opt.Out, *m, files)
}
