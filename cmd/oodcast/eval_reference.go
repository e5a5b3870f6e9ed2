package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest"
)

// referenceFrames is after how many frames the rest of the normal footage is thinned out to every second, after as many
// again to every fourth, and so on.
const referenceFrames = 400

// reference samples the features of the normal footage.
func (c *EvalCmd) reference(e *env, encode eval.Encode) (*eval.Reference, error) {
	sampler := eval.NewSampler(eval.ReferenceTokens, c.seed())
	bar := newImageBar(e, "normal footage", -1)
	defer bar.finish()
	pool := ingest.NewPool(4)
	number, encoded, stride := 0, 0, 1
	sink := func(ctx context.Context, f *ingest.Frame) error {
		defer f.Release()
		number++
		if number%stride != 0 {
			return nil
		}
		enc, err := encode(ctx, f)
		if err != nil {
			return err
		}
		if encoded++; encoded%referenceFrames == 0 {
			stride *= 2
		}
		sampler.Add(enc)
		bar.add()
		return nil
	}
	for _, uri := range c.Reference {
		s, live, err := footage(uri, pool)
		if err != nil {
			return nil, err
		}
		if live {
			return nil, usagef("--reference %s never ends: record some of it to a file", ingest.RedactURI(uri))
		}
		if err := s.Run(e, sink); err != nil {
			return nil, fmt.Errorf("read --reference %s: %w", ingest.RedactURI(uri), err)
		}
		if err := e.Err(); err != nil { // a source ends without an error when it is stopped
			return nil, err
		}
	}
	ref, err := sampler.Reference()
	if err != nil {
		return nil, fmt.Errorf("%w: --reference gave %d frames", err, encoded)
	}
	return ref, nil
}

// imageBar is a progress bar on a terminal, and nothing elsewhere.
type imageBar struct{ bar *progressbar.ProgressBar }

// newImageBar counts to total; -1: nobody knows.
func newImageBar(e *env, title string, total int) *imageBar {
	w := io.Discard
	if f, ok := e.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		w = e.Stderr
	}
	return &imageBar{progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(title),
		progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond))}
}

func (b *imageBar) add()    { _ = b.bar.Add(1) }
func (b *imageBar) finish() { _ = b.bar.Finish() }

// reading counts the pictures that read reads.
func (b *imageBar) reading(read func(string) (*ingest.Frame, error)) func(string) (*ingest.Frame, error) {
	return func(path string) (*ingest.Frame, error) {
		b.add()
		return read(path)
	}
}
