package pipeline

import (
	"errors"
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/pipeline/queue"
)

// Config is a resolved configuration: every camera has all of its settings.
type Config struct {
	// Site is the name of the installation in messages.
	Site string
	// Provider says what computes; it cannot change while the pipeline runs.
	Provider ort.Options
	// Batch says which frames are scored together.
	Batch Batch
	// Cameras are the streams to watch, each under a name of its own. At least one.
	Cameras []CameraConfig
}

// CameraConfig is one stream and how it is scored.
type CameraConfig struct {
	// Source is the stream.
	Source ingest.Config
	// Queue is what happens between the stream and the scoring.
	Queue QueueConfig
	// Bundle scores the camera: the name of a built-in bundle or a folder.
	Bundle string
	// Detector says how frames are scored.
	Detector detector.Config
	// Events says when a region becomes an event.
	Events events.Config
}

// overflow resolves auto: frames of files wait when they are read as fast as they are consumed, others make room.
func (c CameraConfig) overflow() queue.Overflow {
	if c.Queue.Overflow != "" && c.Queue.Overflow != overflowAuto {
		return queue.Overflow(c.Queue.Overflow)
	}
	if u, err := ingest.ParseURI(c.Source.URI); err == nil && !u.Live() && !c.Source.Realtime {
		return queue.Wait
	}
	return queue.DropOldest
}

// QueueConfig bounds the frames that a camera has in memory.
type QueueConfig struct {
	// Overflow says what happens when frames come faster than they are scored: drop_oldest, drop_latest, wait, or auto
	// (drop_oldest for cameras and paced files, wait for other files). Default auto.
	Overflow string `yaml:"overflow"`
	// QueueFrames is the largest number of frames that wait to be scored, 1..256. Default 1.
	QueueFrames int `yaml:"queue_frames"`
	// MemoryMB bounds the memory of all frames of the stream, wherever they are, in units of 1024*1024 bytes: 16..65536. A
	// picture that finds no room is dropped or waits, as Overflow says; a picture that needs more than half is an error.
	// Default 256.
	MemoryMB int `yaml:"memory_mb"`
}

const overflowAuto = "auto"

// DefaultQueueConfig returns the defaults.
func DefaultQueueConfig() QueueConfig {
	return QueueConfig{Overflow: overflowAuto, QueueFrames: 1, MemoryMB: 256}
}

// Validate reports every fault of c, each with its key, value and what is wanted.
func (c QueueConfig) Validate() error {
	var errs []error
	if c.Overflow != "" && c.Overflow != overflowAuto {
		if _, err := queue.ParseOverflow(c.Overflow); err != nil {
			errs = append(errs, fmt.Errorf("overflow: got %q, want auto, drop_oldest, drop_latest or wait", c.Overflow))
		}
	}
	if c.QueueFrames < 1 || c.QueueFrames > 256 {
		errs = append(errs, fmt.Errorf("queue_frames: got %d, want 1 to 256", c.QueueFrames))
	}
	if c.MemoryMB < 16 || c.MemoryMB > 65536 {
		errs = append(errs, fmt.Errorf("memory_mb: got %d, want 16 to 65536", c.MemoryMB))
	}
	return errors.Join(errs...)
}

// Batch lets cameras that share a bundle have their frames scored together.
type Batch struct {
	// Frames is how many frames are scored together at most: 1 (each by itself) … 32. Default 1.
	Frames int `yaml:"frames"`
	// Wait is how long the first of them waits for the others at most: 0 … 10s. Default 20ms.
	Wait time.Duration `yaml:"wait"`
}

// DefaultBatch returns the defaults.
func DefaultBatch() Batch { return Batch{Frames: 1, Wait: 20 * time.Millisecond} }

// Validate reports every fault.
func (b Batch) Validate() error {
	var errs []error
	if b.Frames < 1 || b.Frames > 32 {
		errs = append(errs, fmt.Errorf("batch.frames: got %d, want 1 (none together) to 32", b.Frames))
	}
	if b.Wait < 0 || b.Wait > 10*time.Second {
		errs = append(errs, fmt.Errorf("batch.wait: got %v, want 0 to 10s", b.Wait))
	}
	return errors.Join(errs...)
}
