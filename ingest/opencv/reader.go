package opencv

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

// reader is an opened video, stream, device or list of pictures. All methods are called from one goroutine.
type reader interface {
	// open opens it. FFmpeg's calls, this one and later ones, end when ctx is done.
	open(ctx context.Context) error
	// read decodes the next picture into m: 8 bits, 1, 3 (BGR) or 4 (BGRA) channels, not empty. io.EOF at the end.
	read(m *gocv.Mat) error
	// position is the stream time of the picture read last; ok is false when the reader does not know.
	position() (pts time.Duration, ok bool)
	// fps is the nominal rate, 0 when unknown.
	fps() float64
	// close releases what open made, if it did. It may be opened again.
	close()
}

// newReader looks at the file system to tell which reader cfg needs.
func (s *source) newReader() (reader, error) {
	name := ingest.RedactURI(s.cfg.URI)
	switch s.uri.Kind {
	case ingest.Stream:
		opt := s.cfg.FFmpegOptions
		if opt == "" {
			opt = streamOptions(s.cfg.ReadTimeout)
		}
		return &ffmpegReader{
			what: "stream", name: name, url: s.uri.Target, err: ingest.ErrConnect,
			options: ffmpeg.Options{Live: true, Pairs: opt, MaxPixels: maxPixels},
		}, nil
	case ingest.Camera:
		return s.cameraReader(name)
	case ingest.GStreamer:
		return &videoReader{
			what: "pipeline", name: name,
			hint: "the pipeline did not start: check it and its plugins with gst-launch-1.0", // its own words are not to be had
			start: func() (*gocv.VideoCapture, error) {
				return gocv.VideoCaptureFileWithAPI(s.uri.Target, gocv.VideoCaptureGstreamer)
			},
		}, nil
	case ingest.Path:
		return s.pathReader(name)
	default:
		return nil, fmt.Errorf("open %q: %w", name, ingest.ErrUnsupported)
	}
}

func (s *source) pathReader(name string) (reader, error) {
	info, err := os.Stat(s.uri.Target)
	switch {
	case os.IsNotExist(err):
		return nil, fmt.Errorf("open %q: %w", name, ingest.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", name, err)
	case info.IsDir():
		return &pictureReader{folder: s.uri.Target, rate: s.cfg.FPS}, nil
	case IsPicture(s.uri.Target):
		return &pictureReader{files: []string{s.uri.Target}, rate: s.cfg.FPS}, nil
	}
	return &ffmpegReader{
		what: "video", name: name, url: "file:" + s.uri.Target, err: ingest.ErrUnreadable,
		// A playlist must not reach out to the network.
		options: ffmpeg.Options{Pairs: "protocol_whitelist;file,crypto,data", MaxPixels: maxPixels},
	}, nil
}

func (s *source) cameraReader(name string) (reader, error) {
	device := s.uri.Target
	if n, err := strconv.ParseUint(device, 10, 16); err == nil {
		device = "/dev/video" + strconv.FormatUint(n, 10)
	}
	if !filepath.IsAbs(device) {
		return nil, fmt.Errorf("open %q: %w: want camera:0 or camera:/dev/video0", name, ingest.ErrUnsupported)
	}
	return &videoReader{
		what: "camera", name: name, hint: "it is no camera, or another program has it",
		start: func() (*gocv.VideoCapture, error) {
			if _, err := os.Stat(device); err != nil {
				return nil, err // open wraps it with the operand
			}
			return gocv.VideoCaptureFileWithAPI(device, gocv.VideoCaptureV4L2)
		},
	}, nil
}

// videoReader reads through cv::VideoCapture: devices and GStreamer's pipelines.
type videoReader struct {
	what, name string // for errors; without credentials
	hint       string // why it may not have opened
	start      func() (*gocv.VideoCapture, error)

	cap *gocv.VideoCapture
}

func (v *videoReader) open(context.Context) error {
	silence()
	vc, err := v.start()
	if err == nil {
		v.cap = vc
		return nil
	}
	if vc != nil {
		_ = vc.Close()
	}
	// GoCV's own text has the credentials in it
	if os.IsNotExist(err) {
		return fmt.Errorf("open %s %q: %w: no such device", v.what, v.name, ingest.ErrConnect)
	}
	return fmt.Errorf("open %s %q: %w: %s", v.what, v.name, ingest.ErrConnect, v.hint)
}

func (v *videoReader) read(m *gocv.Mat) error {
	if !v.cap.Read(m) || m.Empty() {
		return io.EOF
	}
	return nil
}

func (v *videoReader) position() (time.Duration, bool) { return 0, false }

func (v *videoReader) fps() float64 { return 0 }

func (v *videoReader) close() {
	if v.cap != nil {
		_ = v.cap.Close()
		v.cap = nil
	}
}
