package ingest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Config says where frames come from and how they are read. The YAML tags are the keys in the configuration.
type Config struct {
	// Name is the camera's name in subjects, logs and metrics: [a-z][a-z0-9_]*. Default "camera".
	Name string `yaml:"name" json:"name"`
	// URI is rtsp://…, http://… (MJPEG), a video file, a picture, a folder of pictures, camera:0 or gst:<pipeline>.
	URI string `yaml:"uri" json:"uri"`
	// Stream is the number of the video track to read, from 0, where a file or stream has several. Default -1: the largest, and
	// of several the one that is marked as the default.
	Stream int `yaml:"stream" json:"stream"`
	// Width and Height, in pixels, are the size to which every frame is scaled; set both or neither. Default 0: unscaled.
	Width  int `yaml:"width" json:"width"`
	Height int `yaml:"height" json:"height"`
	// MaxFPS is the rate above which frames are dropped, in frames per second of stream time. Default 0: no limit.
	MaxFPS float64 `yaml:"max_fps" json:"max_fps"`
	// FPS is the rate of a folder of pictures and of files that do not state their own. Default 10.
	FPS float64 `yaml:"fps" json:"fps"`
	// Realtime plays files and folders at their own speed instead of as fast as they are consumed. Default false.
	Realtime bool `yaml:"realtime" json:"realtime"`
	// Loop restarts files and folders at their end. Default false.
	Loop bool `yaml:"loop" json:"loop"`
	// OpenTimeout is how long a stream may take to open, ReadTimeout how long to deliver the next packet, which
	// may wait for what came before it to be played in a live playlist (HLS, DASH). 100ms..10m, default 5s.
	OpenTimeout time.Duration `yaml:"open_timeout" json:"open_timeout"`
	ReadTimeout time.Duration `yaml:"read_timeout" json:"read_timeout"`
	// FFmpegOptions replaces the options that FFmpeg gets for streams, as key;value|key;value. Default "": TCP, no sound, a
	// short probe, ReadTimeout.
	FFmpegOptions string `yaml:"ffmpeg_options" json:"ffmpeg_options"`
	// Reconnect says when a Supervisor tries again.
	Reconnect Reconnect `yaml:"reconnect" json:"reconnect"`
}

// ffmpegKey matches the name of an option of FFmpeg, without a dash in front.
var ffmpegKey = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// Reconnect sets how long a Supervisor pauses before it opens a broken stream again: Min after the first failure, twice as
// long after each further one, up to Max. A random share of up to Jitter shortens each pause, so that the cameras of a site
// do not all come back at the same moment.
type Reconnect struct {
	// Min and Max are the first and the longest pause. Default 1s and 60s.
	Min time.Duration `yaml:"min" json:"min"`
	Max time.Duration `yaml:"max" json:"max"`
	// Jitter is the random share of a pause, 0..1. Default 0.3.
	Jitter float64 `yaml:"jitter" json:"jitter"`
	// Stable is how long a stream must deliver for the next pause to be Min again. Default 10s.
	Stable time.Duration `yaml:"stable" json:"stable"`
	// Stalled is how long a live stream may deliver nothing before its state is stalled. Default 2s.
	Stalled time.Duration `yaml:"stalled" json:"stalled"`
}

// DefaultConfig returns the defaults. The caller sets the URI.
func DefaultConfig() Config {
	return Config{
		Name:        "camera",
		Stream:      -1,
		FPS:         10,
		OpenTimeout: 5 * time.Second,
		ReadTimeout: 5 * time.Second,
		Reconnect: Reconnect{
			Min: time.Second, Max: time.Minute, Jitter: 0.3, Stable: 10 * time.Second, Stalled: 2 * time.Second,
		},
	}
}

// Validate reports every fault of c, each with its key, its value and the values that are allowed.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, key string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: got %v, want %s", key, got, want))
		}
	}
	check(regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(c.Name), "name", quote(c.Name),
		"lower-case letters, digits and _, a letter first")
	if _, err := ParseURI(c.URI); err != nil {
		errs = append(errs, fmt.Errorf("uri: %w", err))
	}
	check(c.Stream >= -1 && c.Stream <= 1000, "stream", c.Stream, "the number of a video track, from 0, or -1 for the largest")
	check(c.Width >= 0 && c.Width <= MaxSide, "width", c.Width, "0 to 16384 pixels")
	check(c.Height >= 0 && c.Height <= MaxSide, "height", c.Height, "0 to 16384 pixels")
	check((c.Width == 0) == (c.Height == 0), "width, height", fmt.Sprintf("%dx%d", c.Width, c.Height), "both or neither")
	check(c.MaxFPS >= 0 && c.MaxFPS <= 1000, "max_fps", c.MaxFPS, "0 (no limit) to 1000")
	check(c.FPS > 0 && c.FPS <= 1000, "fps", c.FPS, "more than 0, at most 1000")
	for _, pair := range strings.Split(c.FFmpegOptions, "|") {
		key, _, ok := strings.Cut(pair, ";")
		name, _, _ := strings.Cut(key, " ") // what follows may be a secret
		check(c.FFmpegOptions == "" || ok && ffmpegKey.MatchString(key), "ffmpeg_options", quote(name),
			"key;value|key;value without dashes, such as rtsp_transport;udp|timeout;5000000")
	}
	timeout := func(key string, d time.Duration) {
		check(d >= 100*time.Millisecond && d <= 10*time.Minute, key, d, "100ms to 10m")
	}
	timeout("open_timeout", c.OpenTimeout)
	timeout("read_timeout", c.ReadTimeout)
	r := c.Reconnect
	check(r.Min >= time.Millisecond, "reconnect.min", r.Min, "at least 1ms")
	check(r.Max >= r.Min && r.Max <= time.Hour, "reconnect.max", r.Max, "reconnect.min to 1h")
	check(r.Jitter >= 0 && r.Jitter <= 1, "reconnect.jitter", r.Jitter, "0 to 1")
	check(r.Stable >= 0, "reconnect.stable", r.Stable, "0 or more")
	check(r.Stalled > 0, "reconnect.stalled", r.Stalled, "more than 0")
	return errors.Join(errs...)
}

func quote(s string) string { return fmt.Sprintf("%q", s) }
