package ingest

import (
	"context"
	"errors"
	"fmt"
)

// Source reads one stream.
//
// Run opens the stream, passes every frame to sink, one at a time and in order, and closes the stream before it returns. It
// returns nil at the end of the stream or when ctx is done, and an error when the stream did not open or broke off or sink
// failed. A Source never retries. Run may be called again after it has returned, but not concurrently.
//
// sink owns the frame that it is given, whatever it returns.
type Source interface {
	Run(ctx context.Context, sink Sink) error
}

// Sink receives the frames of a Source; see there. The Put method of a queue of frames is a Sink.
type Sink = func(context.Context, *Frame) error

// Counter is implemented by sources that count their frames. Stats may be called at any time.
type Counter interface {
	Stats() Stats
}

// LeftOut is the error of a source that has come to its end without the pictures that it could not read; nil when it has read
// all of them or does not count.
func LeftOut(s Source) error {
	c, ok := s.(Counter)
	if !ok {
		return nil
	}
	switch n := c.Stats().Unreadable; n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 picture was left out: %w", ErrUnreadable)
	default:
		return fmt.Errorf("%d pictures were left out: %w", n, ErrUnreadable)
	}
}

// Waiter is implemented by sources that know what an open stream waits for before it can deliver a frame. Waiting may be
// called at any time; it returns nil when there is nothing to tell.
type Waiter interface {
	Waiting() error
}

// Stats are a source's counts since it was created.
type Stats struct {
	// Read is the number of decoded frames, Delivered the number of those that the sink accepted.
	Read, Delivered uint64
	// DroppedPool counts frames dropped because the pool was empty, DroppedRate those above Config.MaxFPS.
	DroppedPool, DroppedRate uint64
	// Unreadable counts the pictures of a folder that could not be read and were left out.
	Unreadable uint64
	// Opens is how often the stream was opened successfully.
	Opens uint64
	// Abandoned is the number of captures that hung and that the watchdog gave up, Hanging the number of those that still
	// hold their thread.
	Abandoned, Hanging uint64
}

// The reasons for which a source fails. The first three are permanent: trying again does not help, and a Supervisor ends.
var (
	// ErrUnsupported means that no reader exists for this kind of address.
	ErrUnsupported = errors.New("ingest: unsupported source")
	// ErrUnreadable means that the file exists but cannot be decoded as a picture or video.
	ErrUnreadable = errors.New("not a readable picture or video")
	// ErrNotFound means that the file or folder does not exist; it also matches fs.ErrNotExist.
	ErrNotFound = notFoundError{}
	// ErrConnect means that a stream or a camera did not open.
	ErrConnect = errors.New("no connection")
	// ErrDisconnected means that an open stream delivered no further frame.
	ErrDisconnected = errors.New("stream broke off")
	// ErrTooLarge means that pictures need more memory than their stream may use.
	ErrTooLarge = errors.New("picture too large")
	// ErrNoKeyFrame means that packets come, but none of them begins a picture that can be decoded by itself.
	ErrNoKeyFrame = errors.New("waiting for a key frame")
	// ErrNoPicture means that packets come, but no picture can be decoded from them.
	ErrNoPicture = errors.New("waiting for a picture: what comes cannot be decoded")
	// ErrTimeout means that the capture did not open or deliver in time and was abandoned.
	ErrTimeout = errors.New("timed out")
)
