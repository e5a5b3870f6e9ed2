package opencv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
)

var errChanged = errors.New("pictures changed their size or format")

// reader is an opened video, stream, device or list of pictures. All methods are called from one goroutine.
type reader interface {
	// begin comes first, with the number of this capture in FFmpeg's log.
	begin(log int)
	open() error
	// read decodes the next picture into m: 8 bits, 1, 3 (BGR) or 4 (BGRA) channels, not empty. io.EOF at the end,
	// errChanged when pictures changed their size and the reader must be opened again to follow.
	read(m *gocv.Mat) error
	// position is the stream time of the picture read last; ok is false when the reader does not know.
	position() (pts time.Duration, ok bool)
	// fps is the nominal rate, 0 when unknown.
	fps() float64
	// close releases what open made. It may be opened again.
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
		return &videoReader{
			what: "stream", name: name, options: opt, err: ingest.ErrConnect,
			start: func() (*gocv.VideoCapture, error) {
				return gocv.VideoCaptureFileWithAPI(s.uri.Target, gocv.VideoCaptureFFmpeg)
			},
		}, nil
	case ingest.Camera:
		return s.cameraReader(name)
	case ingest.GStreamer:
		return &videoReader{
			what: "pipeline", name: name, err: ingest.ErrConnect,
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
	return &videoReader{
		what: "video", name: name, err: ingest.ErrUnreadable, file: true,
		start: func() (*gocv.VideoCapture, error) {
			return gocv.VideoCaptureFileWithAPI(s.uri.Target, gocv.VideoCaptureFFmpeg)
		},
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
		what: "camera", name: name, err: ingest.ErrConnect,
		start: func() (*gocv.VideoCapture, error) {
			if _, err := os.Stat(device); err != nil {
				return nil, err // open wraps it with the operand
			}
			return gocv.VideoCaptureFileWithAPI(device, gocv.VideoCaptureV4L2)
		},
	}, nil
}

// videoReader reads through cv::VideoCapture.
type videoReader struct {
	what, name string // for errors; without credentials
	options    string // for FFmpeg
	file       bool   // positions mean something
	err        error  // why it does not open
	start      func() (*gocv.VideoCapture, error)

	cap    *gocv.VideoCapture
	rate   float64
	frames int // since open
	log    int

	// The pictures changed, and the reader is to be opened again at reopen: not at once if it was only just opened for
	// that, or a stream that changes all the time would never deliver.
	changed bool
	reopen  time.Time
}

func (v *videoReader) begin(log int) { v.log = log }

func (v *videoReader) open() error {
	resetLog()
	ffmpegEnv.enter(v.options)
	defer ffmpegEnv.leave()
	vc, err := v.start()
	if err != nil {
		if vc != nil {
			_ = vc.Close()
		}
		// GoCV's own text has the credentials in it
		reason := logReason()
		if os.IsNotExist(err) {
			reason = "no such device"
		}
		if v.what == "pipeline" { // GStreamer's own words are not to be had
			reason = "the pipeline did not start: check it and its plugins with gst-launch-1.0"
		}
		if reason == "" || v.file {
			return fmt.Errorf("open %s %q: %w", v.what, v.name, v.err)
		}
		return fmt.Errorf("open %s %q: %w: %s", v.what, v.name, v.err, reason)
	}
	v.cap, v.frames = vc, 0
	if v.file {
		v.rate = vc.Get(gocv.VideoCaptureFPS)
	}
	return nil
}

func (v *videoReader) read(m *gocv.Mat) error {
	resetLog()
	if !v.cap.Read(m) || m.Empty() {
		return io.EOF
	}
	v.frames++
	if v.frames == 1 {
		logChanged(v.log) // the decoder started: that is no change
		return nil
	}
	restarted, misfit := logChanged(v.log)
	if misfit || restarted && !v.file { // a stream is soon opened again; a file must not end for a mere guess
		v.changed = true
	}
	if now := time.Now(); v.changed && now.After(v.reopen) {
		const rest = 5 * time.Second
		v.changed, v.reopen = false, now.Add(rest)
		return errChanged
	}
	return nil
}

func (v *videoReader) position() (time.Duration, bool) {
	if !v.file {
		return 0, false
	}
	ms := v.cap.Get(gocv.VideoCapturePosMsec)
	return time.Duration(ms * float64(time.Millisecond)), ms >= 0
}

func (v *videoReader) fps() float64 { return v.rate }

func (v *videoReader) close() {
	if v.cap != nil {
		_ = v.cap.Close()
		v.cap = nil
	}
}

// streamOptions is what FFmpeg is told about network streams.
//
// TCP, because lost packets make a picture anomalous; low delay and a short probe: the first frame is 0.2 s old
// instead of 2 s, most of which FFmpeg would spend on measuring the frame rate. "nobuffer" is not among them: it
// breaks VP8 over RTSP.
func streamOptions(timeout time.Duration) string {
	return strings.Join([]string{
		"rtsp_transport;tcp", "flags;low_delay", "analyzeduration;500000", "probesize;65536", "fpsprobesize;0",
		"timeout;" + strconv.FormatInt(timeout.Microseconds(), 10),
	}, "|")
}
