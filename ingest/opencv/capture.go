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
)

// Capture reads pictures from a camera or a GStreamer pipeline. It belongs to one goroutine. Its calls cannot be
// interrupted.
type Capture struct {
	kind, name string // for errors; without credentials
	hint       string // why it may not have opened
	start      func() (*gocv.VideoCapture, error)

	video   *gocv.VideoCapture
	picture *Picture
}

// NewCamera returns a capture of the Video4Linux device with the given number or path; it opens nothing yet. name stands
// for the camera in errors.
func NewCamera(name, device string) (*Capture, error) {
	if n, err := strconv.ParseUint(device, 10, 16); err == nil {
		device = "/dev/video" + strconv.FormatUint(n, 10)
	}
	if !filepath.IsAbs(device) {
		return nil, fmt.Errorf("open %q: %w: want camera:0 or camera:/dev/video0", name, ingest.ErrUnsupported)
	}
	return &Capture{
		kind: "camera", name: name, hint: "it is not a camera, or another program uses it",
		start: func() (*gocv.VideoCapture, error) {
			if _, err := os.Stat(device); err != nil {
				return nil, err // Open adds the name
			}
			return gocv.VideoCaptureFileWithAPI(device, gocv.VideoCaptureV4L2)
		},
	}, nil
}

// NewPipeline returns a capture of a GStreamer pipeline that ends in appsink; it starts nothing yet. name stands for the
// pipeline in errors.
func NewPipeline(name, pipeline string) *Capture {
	return &Capture{
		kind: "pipeline", name: name,
		// OpenCV does not pass GStreamer's own reason on.
		hint: "the pipeline did not start: check it and its plugins with gst-launch-1.0",
		start: func() (*gocv.VideoCapture, error) {
			return gocv.VideoCaptureFileWithAPI(pipeline, gocv.VideoCaptureGstreamer)
		},
	}
}

// Open starts the capture.
func (c *Capture) Open(context.Context) error {
	silence()
	video, err := c.start()
	if err == nil {
		c.video, c.picture = video, NewPicture()
		return nil
	}
	if video != nil {
		_ = video.Close()
	}
	// GoCV's own text contains the credentials.
	if os.IsNotExist(err) {
		return fmt.Errorf("open %s %q: %w: no such device", c.kind, c.name, ingest.ErrConnect)
	}
	return fmt.Errorf("open %s %q: %w: %s", c.kind, c.name, ingest.ErrConnect, c.hint)
}

// Next reads the next picture and returns its size in pixels. It returns io.EOF when the capture delivers no more.
func (c *Capture) Next() (width, height int, err error) {
	if !c.video.Read(&c.picture.bgr) || c.picture.bgr.Empty() {
		return 0, 0, io.EOF
	}
	width, height = c.picture.Size()
	if err := ingest.CheckSize(width, height); err != nil {
		return 0, 0, fmt.Errorf("read %q: %w", c.name, err)
	}
	return width, height, nil
}

// RGB writes the picture that Next read to dst, scaled to width x height; see Picture.RGB.
func (c *Capture) RGB(dst []byte, width, height int) error {
	if err := c.picture.RGB(dst, width, height); err != nil {
		return fmt.Errorf("read %q: %w", c.name, err)
	}
	return nil
}

// Position is the time of a picture in the stream, which a capture does not know: ok is false.
func (*Capture) Position() (pts time.Duration, ok bool) { return 0, false }

// Rate is the nominal number of pictures per second, which a capture does not know: 0.
func (*Capture) Rate() float64 { return 0 }

// Close ends the capture. It may be opened again. Closing twice is harmless.
func (c *Capture) Close() error {
	if c.video == nil {
		return nil
	}
	err := c.video.Close()
	c.picture.Close()
	c.video, c.picture = nil, nil
	return err
}
