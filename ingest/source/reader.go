package source

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// reader reads the pictures of one video, stream, device or folder. One goroutine calls all of its methods.
type reader interface {
	// Open opens it. A reader that can be interrupted returns soon from this call and from later ones when ctx is done.
	Open(ctx context.Context) error
	// Next decodes the next picture and returns its size in pixels; ingest.CheckSize accepts it. The end is io.EOF. After
	// ingest.ErrNoKeyFrame and ingest.ErrNoPicture, Next is to be called again: something came, but no picture.
	Next() (width, height int, err error)
	// RGB writes the picture that Next decoded to dst as packed RGB, scaled to width x height: 3*width*height bytes.
	RGB(dst []byte, width, height int) error
	// Position is the stream time of the picture that Next decoded; ok is false when the reader does not know it.
	Position() (pts time.Duration, ok bool)
	// Rate is the nominal number of pictures per second, 0 when the reader does not know it.
	Rate() float64
	// Close releases what Open acquired, if it acquired anything. The reader may be opened again.
	Close() error
}

// skipper is implemented by readers of pictures that do not depend on each other: one that cannot be used is left out.
type skipper interface {
	// skips returns the name of the picture that Next read last, or tried to; "" when it must not be left out.
	skips() string
}

// awaiter is implemented by readers whose calls watch their own time limit, which is one for packets and not for pictures.
type awaiter interface {
	// waits reports whether a call waits for a packet within its limit, and whether packets come meanwhile that are kept back
	// because no key frame has come. Any goroutine may call it.
	waits() (waits, keyless bool)
}

// newReader chooses the reader for the source's address. t, if there is one, taps streams.
func (s *source) newReader(t *tap) (reader, error) {
	name := ingest.RedactURI(s.cfg.URI)
	switch s.uri.Kind {
	case ingest.Stream:
		v := streamFilm(name, s.uri.Target, s.cfg, s.log)
		if t != nil {
			v.options.Tap = t
		}
		return v, nil
	case ingest.Camera:
		return opencv.NewCamera(name, s.uri.Target)
	case ingest.GStreamer:
		return opencv.NewPipeline(name, s.uri.Target), nil
	case ingest.Path:
		return s.pathReader(name)
	default:
		return nil, fmt.Errorf("open %q: %w", name, ingest.ErrUnsupported)
	}
}

// pathReader looks at the file system to choose a reader.
func (s *source) pathReader(name string) (reader, error) {
	path := s.uri.Target
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, fmt.Errorf("open %q: %w", name, ingest.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", name, err)
	case info.IsDir():
		return &folder{dir: path, rate: s.cfg.FPS}, nil
	case opencv.IsPicture(path):
		return &folder{files: []string{path}, rate: s.cfg.FPS}, nil
	case info.Mode().IsRegular() && info.Size() == 0:
		return nil, fmt.Errorf("open video %q: %w: the file is empty", name, ingest.ErrUnreadable)
	}
	if kind := opencv.StillKind(path); kind != "" {
		return nil, fmt.Errorf("open %q: %w: it is %s: convert it to JPEG or PNG", name, ingest.ErrUnreadable, kind)
	}
	return fileFilm(name, path, s.cfg, s.log), nil
}

var (
	_ reader = (*film)(nil)
	_ reader = (*folder)(nil)
	_ reader = (*opencv.Capture)(nil)

	_ awaiter = (*film)(nil)
)
