package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ffmpeg"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// film reads network streams and video files with FFmpeg.
type film struct {
	kind, name string // for errors; without credentials
	url        string
	options    ffmpeg.Options
	refusal    error // the sentinel for a film that does not open
	log        *slog.Logger

	r             *ffmpeg.Reader
	opened        atomic.Pointer[ffmpeg.Reader] // r, for other goroutines
	width, height int                           // of the picture that Next decoded
	unscaled      []byte                        // the picture before it is scaled, kept from picture to picture
}

// streamFilm returns a reader of a network stream.
func streamFilm(name, url string, cfg ingest.Config, log *slog.Logger) *film {
	options := cfg.FFmpegOptions
	if options == "" {
		options = streamOptions(cfg.ReadTimeout)
	}
	return &film{
		kind: "stream", name: name, url: url, refusal: ingest.ErrConnect, log: log,
		options: ffmpeg.Options{Track: cfg.Stream, Live: true, Timeout: cfg.ReadTimeout, Pairs: options, MaxPixels: ingest.MaxPixels},
	}
}

// fileFilm returns a reader of a video file.
func fileFilm(name, path string, cfg ingest.Config, log *slog.Logger) *film {
	return &film{
		kind: "video", name: name, url: "file:" + path, refusal: ingest.ErrUnreadable, log: log,
		// A playlist must not reach out to the network.
		options: ffmpeg.Options{Track: cfg.Stream, Pairs: "protocol_whitelist;file,crypto,data", MaxPixels: ingest.MaxPixels},
	}
}

// Open implements reader.
func (v *film) Open(ctx context.Context) error {
	r, err := ffmpeg.Open(ctx, v.url, v.options)
	switch {
	case err == nil:
		v.r = r
		v.opened.Store(r)
		if number, of := r.Track(); of > 1 {
			width, height := r.TrackSize()
			v.log.Info("video track", "stream", number, "of", of, "width", width, "height", height)
		}
		return nil
	case v.options.Live:
		return fmt.Errorf("open %s %q: %w: %w", v.kind, v.name, v.refusal, err)
	}
	if kind := opencv.PictureKind(strings.TrimPrefix(v.url, "file:")); kind != "" {
		err = fmt.Errorf("it is %s: convert it to JPEG or PNG", kind)
	}
	return fmt.Errorf("open %s %q: %w: %w", v.kind, v.name, v.refusal, err)
}

// Next implements reader.
func (v *film) Next() (width, height int, err error) {
	v.width, v.height, err = v.r.Next()
	switch {
	case errors.Is(err, io.EOF):
		return 0, 0, err
	case errors.Is(err, ffmpeg.ErrNoPicture):
		return 0, 0, v.waiting()
	case err != nil && v.options.Live:
		return 0, 0, fmt.Errorf("read %q: %w: %w", v.name, ingest.ErrDisconnected, err)
	case err != nil:
		return 0, 0, fmt.Errorf("read %q: %w: %w", v.name, ingest.ErrUnreadable, err)
	}
	if err := ingest.CheckSize(v.width, v.height); err != nil {
		return 0, 0, fmt.Errorf("read %q: %w", v.name, err)
	}
	return v.width, v.height, nil
}

// waiting is what a stream waits for that delivers packets and no picture.
func (v *film) waiting() error {
	if all, keys := v.r.Packets(); all > 0 && keys == 0 {
		return ingest.ErrNoKeyFrame
	}
	return ingest.ErrNoPicture
}

// waits implements awaiter.
func (v *film) waits() (waits, keyless bool) {
	if r := v.opened.Load(); r != nil {
		return r.Waits()
	}
	return false, false
}

// RGB implements reader. FFmpeg writes straight into dst. Only a picture that has to be scaled goes through a buffer, because
// OpenCV scales it: bundles are calibrated with OpenCV's pixels, and libswscale's differ.
func (v *film) RGB(dst []byte, width, height int) error {
	err := v.rgb(dst, width, height)
	if err != nil {
		return fmt.Errorf("read %q: %w", v.name, err)
	}
	return nil
}

func (v *film) rgb(dst []byte, width, height int) error {
	if width == v.width && height == v.height {
		return v.r.RGB(dst)
	}
	if n := 3 * v.width * v.height; len(v.unscaled) != n {
		v.unscaled = make([]byte, n)
	}
	if err := v.r.RGB(v.unscaled); err != nil {
		return err
	}
	return opencv.Scale(dst, width, height, v.unscaled, v.width, v.height)
}

// finite reports whether the film has an end, as files do, over HTTP too.
func (v *film) finite() bool { return v.r != nil && !v.r.Endless() }

// burst returns the stream time of the picture that Next decoded, if pictures come in bursts.
func (v *film) burst() (time.Duration, bool) {
	if v.r == nil || !v.r.Bursts() {
		return 0, false
	}
	return v.r.Time()
}

// Position implements reader. The pictures of a stream are stamped when they come.
func (v *film) Position() (time.Duration, bool) {
	if !v.finite() {
		return 0, false
	}
	return v.r.Time()
}

// Rate implements reader.
func (v *film) Rate() float64 {
	if !v.finite() {
		return 0
	}
	const slowest = 0.1 // slower rates come from files with gaps
	if rate := v.r.Rate(); rate >= slowest {
		return rate
	}
	return 0
}

// Close implements reader.
func (v *film) Close() error {
	if v.r == nil {
		return nil
	}
	v.opened.Store(nil)
	err := v.r.Close()
	v.r = nil
	return err
}

// streamOptions are the options that FFmpeg gets for network streams.
//
// TCP, because lost packets make a picture anomalous, and UDP only where the camera refuses TCP; no sound; a short probe, where there is one: the first frame is 0.2 s
// old instead of 2 s, most of which FFmpeg would spend on measuring the frame rate. "nobuffer" is not among them: it breaks
// VP8 over RTSP.
func streamOptions(timeout time.Duration) string {
	return strings.Join([]string{
		"rtsp_transport;tcp+udp", "rtsp_flags;prefer_tcp", "allowed_media_types;video", "analyzeduration;500000", "probesize;65536", "fpsprobesize;0",
		fmt.Sprintf("timeout;%d", timeout.Microseconds()),
	}, "|")
}
