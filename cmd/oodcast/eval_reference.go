package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/detector/eval/method"
	"github.com/oodcast/oodcast/ingest"
)

// readReference reads the normal footage of --reference.
func (c *EvalCmd) readReference(e *env, ev *evaluator.Evaluator) error {
	bar := newImageBar(e, "normal footage", -1)
	defer bar.finish()
	var sources []ingest.Source
	pool := ingest.NewPool(4)
	for _, uri := range c.Reference {
		s, live, err := footage(e, uri, pool)
		if err != nil {
			return err
		}
		if live {
			return usagef("--reference %s never ends: record some of it to a file", ingest.RedactURI(uri))
		}
		sources = append(sources, referenceSource{countedSource{s, bar}, ingest.RedactURI(uri)})
	}
	err := ev.ReadReference(e, sources...)
	if errors.Is(err, method.ErrReference) {
		return fmt.Errorf("--reference: %w", err)
	}
	return err
}

// referenceSource names the flag and the source in its errors.
type referenceSource struct {
	ingest.Source
	name string
}

func (s referenceSource) Run(ctx context.Context, sink ingest.Sink) error {
	if err := s.Source.Run(ctx, sink); err != nil {
		return fmt.Errorf("read --reference %s: %w", s.name, err)
	}
	return nil
}

// countedSource counts its frames on a progress bar.
type countedSource struct {
	ingest.Source
	bar *imageBar
}

func (s countedSource) Run(ctx context.Context, sink ingest.Sink) error {
	return s.Source.Run(ctx, func(ctx context.Context, f *ingest.Frame) error {
		s.bar.add()
		return sink(ctx, f)
	})
}

// imageBar is a progress bar on a terminal, and shows nothing elsewhere.
type imageBar struct{ bar *progressbar.ProgressBar }

// newImageBar returns a bar that counts to total; -1: the total is unknown.
func newImageBar(e *env, title string, total int) *imageBar {
	w := io.Discard
	if f, ok := terminal(e.Stderr); ok {
		w = f
	}
	return &imageBar{progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(title),
		progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))}
}

func (b *imageBar) add()    { _ = b.bar.Add(1) }
func (b *imageBar) finish() { _ = b.bar.Finish() }

// reading returns read with every image counted on the bar.
func (b *imageBar) reading(read func(string) (*ingest.Frame, error)) func(string) (*ingest.Frame, error) {
	return func(path string) (*ingest.Frame, error) {
		b.add()
		return read(path)
	}
}
