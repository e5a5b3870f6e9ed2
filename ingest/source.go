package ingest

import (
	"context"
	"errors"
)

// Source reads one stream.
//
// Run opens the stream, hands every frame to sink, one at a time and in order, and closes the stream before it returns.
// It returns nil at the end of the stream or when ctx is done, and an error when the stream broke, could not be opened,
// or sink failed. A Source never retries; Run may be called again after it returned, not concurrently.
//
// sink owns the frame that it gets, whatever it returns.
type Source interface {
	Run(ctx context.Context, sink Sink) error
}

// Sink receives the frames of a Source; see there. pipeline.Queue[*Frame].Put is one.
type Sink = func(context.Context, *Frame) error

// Counter is what sources that count implement. Stats is safe to call at any time.
type Counter interface {
	Stats() Stats
}

// Stats are a source's counts since it was made.
type Stats struct {
	// Read is the number of frames decoded; Delivered of these were accepted by the sink.
	Read, Delivered uint64
	// DroppedPool frames found no free frame in the pool; DroppedRate were over MaxFPS.
	DroppedPool, DroppedRate uint64
	// Opens counts how often the stream was opened successfully.
	Opens uint64
	// Abandoned counts captures that hung and were given up by the watchdog; Hanging of these still hold their thread.
	Abandoned, Hanging uint64
}

// Why a source fails. The first three are permanent: trying again does not help, and a Supervisor does not.
var (
	// ErrUnsupported means that nothing here reads this kind of address.
	ErrUnsupported = errors.New("ingest: unsupported source")
	// ErrUnreadable means that the file is there but is no picture or video that can be decoded.
	ErrUnreadable = errors.New("not a readable picture or video")
	// ErrNotFound means that the file or folder does not exist; it also matches fs.ErrNotExist.
	ErrNotFound = notFoundError{}
	// ErrConnect means that a stream or a camera did not open.
	ErrConnect = errors.New("no connection")
	// ErrDisconnected means that a stream that was open gave no further frame.
	ErrDisconnected = errors.New("stream broke off")
	// ErrTooLarge means that pictures take more memory than their stream may.
	ErrTooLarge = errors.New("picture too large")
	// ErrTimeout means that the capture neither opened nor delivered in time and was abandoned.
	ErrTimeout = errors.New("timed out")
)
