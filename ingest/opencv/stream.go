package opencv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

// ffmpegReader reads streams and video files.
type ffmpegReader struct {
	what, name string // for errors; without credentials
	url        string
	options    ffmpeg.Options
	err        error // why it does not open

	r     *ffmpeg.Reader
	turns int // quarter turns that make pictures upright
}

func (v *ffmpegReader) open(ctx context.Context) error {
	r, err := ffmpeg.Open(ctx, v.url, v.options)
	switch {
	case err == nil:
		v.r, v.turns = r, r.QuarterTurns()
		return nil
	case v.options.Live:
		return fmt.Errorf("open %s %q: %w: %w", v.what, v.name, v.err, err)
	default: // FFmpeg's reasons for files speak of their inner parts
		return fmt.Errorf("open %s %q: %w", v.what, v.name, v.err)
	}
}

func (v *ffmpegReader) read(m *gocv.Mat) error {
	w, h, err := v.r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return err
	case err != nil && v.options.Live:
		return fmt.Errorf("read %q: %w: %w", v.name, ingest.ErrDisconnected, err)
	case err != nil:
		return fmt.Errorf("read %q: %w: %w", v.name, ingest.ErrUnreadable, err)
	}
	if err := checkSize(w, h); err != nil {
		return fmt.Errorf("read %q: %w", v.name, err)
	}
	if m.Cols() != w || m.Rows() != h || m.Type() != gocv.MatTypeCV8UC3 {
		_ = m.Close()
		*m = gocv.NewMatWithSize(h, w, gocv.MatTypeCV8UC3)
	}
	pix, err := m.DataPtrUint8()
	if err == nil {
		err = v.r.BGR(pix)
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", v.name, err)
	}
	v.upright(m)
	return nil
}

func (v *ffmpegReader) upright(m *gocv.Mat) {
	if v.turns == 0 {
		return
	}
	turned := gocv.NewMat()
	gocv.Rotate(*m, &turned, gocv.RotateFlag(v.turns-1)) // 90, 180, 270 degrees clockwise
	_ = m.Close()
	*m = turned
}

func (v *ffmpegReader) position() (time.Duration, bool) {
	if v.options.Live {
		return 0, false
	}
	return v.r.Time()
}

func (v *ffmpegReader) fps() float64 {
	if v.options.Live {
		return 0
	}
	return v.r.Rate()
}

func (v *ffmpegReader) close() {
	if v.r != nil {
		_ = v.r.Close()
		v.r = nil
	}
}

// streamOptions is what FFmpeg is told about network streams.
//
// TCP, because lost packets make a picture anomalous; no sound; a short probe, where there is one: the first frame is 0.2 s
// old instead of 2 s, most of which FFmpeg would spend on measuring the frame rate. "nobuffer" is not among them: it
// breaks VP8 over RTSP.
func streamOptions(timeout time.Duration) string {
	return strings.Join([]string{
		"rtsp_transport;tcp", "allowed_media_types;video", "analyzeduration;500000", "probesize;65536", "fpsprobesize;0",
		fmt.Sprintf("timeout;%d", timeout.Microseconds()),
	}, "|")
}
