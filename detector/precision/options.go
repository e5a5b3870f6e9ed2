package precision

import (
	"errors"
	"fmt"

	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Precision is how the numbers of an encoder are kept.
type Precision string

// The precisions.
const (
	FP16 Precision = "fp16" // weights in half precision, which the runtime turns into float32 again
	INT8 Precision = "int8" // weights and activations as 8-bit integers, where the map holds
)

var (
	// ErrMoved means that the maps of the new bundle differ from those of the given one by more than their own noise. It is
	// normal to see it for networks that were not made for 8 bits.
	ErrMoved = errors.New("precision: the map moves by more than its own noise")
	// ErrFewFrames means that the footage has too few frames to convert on some and compare on others.
	ErrFewFrames = errors.New("precision: not enough footage")
	// ErrNothing means that no operator of the encoder gains anything.
	ErrNothing = errors.New("precision: nothing to gain")
)

// Options describe one conversion.
type Options struct {
	Bundle    *models.Bundle // complete
	Precision Precision
	Footage   synth.Footage // normal footage; it is read three times
	Out       string        // folder of the new bundle
	Name      string        // of the new bundle; "" puts the precision behind the name of the given one
	Seed      uint64        // of the choice of frames and of what is pasted
	// Labelled is a set on which both bundles are also measured; nil: none. Read reads its pictures.
	Labelled *dataset.Dataset
	Read     func(path string) (*ingest.Frame, error)
	ORT      ort.Options
	Progress func(note string) // may be nil
}

// The number of frames for each purpose, of a sample of the footage.
const (
	rangeFrames  = 12 // collect ranges
	searchFrames = 4  // choose operators
	heldFrames   = 12 // compare
	fewestFrames = 8
)

// timesteps is |T| of the maps that are compared: that of a detector unless it is told otherwise.
const timesteps = 5

func (o *Options) validate() error {
	if o.Precision != FP16 && o.Precision != INT8 {
		return fmt.Errorf("precision: got %q, want %s or %s", o.Precision, FP16, INT8)
	}
	if _, err := o.Bundle.Calibration(); err != nil {
		return err
	}
	o.Name = o.Title()
	if err := models.CheckName(o.Name); err != nil {
		return fmt.Errorf("precision: name: %w", err)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return models.CheckFolder(o.Out)
}

// Title returns the name of the new bundle.
func (o *Options) Title() string {
	if o.Name != "" {
		return o.Name
	}
	return o.Bundle.Name + "-" + string(o.Precision)
}
