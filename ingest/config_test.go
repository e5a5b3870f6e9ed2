package ingest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

func TestConfigValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*ingest.Config)
		want string
	}{
		{"valid", func(*ingest.Config) {}, ""},
		{
			"name", func(c *ingest.Config) { c.Name = "Front Door" },
			`name: got "Front Door", want lower-case letters, digits and _, a letter first`,
		},
		{"no uri", func(c *ingest.Config) { c.URI = "" }, "uri: ingest: unsupported source: the address is empty, " +
			"want a file, a folder, rtsp://…, http://…, camera:0 or gst:…"},
		{"half a size", func(c *ingest.Config) { c.Width = 640 }, "width, height: got 640x0, want both or neither"},
		{"rate", func(c *ingest.Config) { c.MaxFPS = -1 }, "max_fps: got -1, want 0 (no limit) to 1000"},
		{"timeout", func(c *ingest.Config) { c.ReadTimeout = 0 }, "read_timeout: got 0s, want 100ms to 10m"},
		{
			"two at once", func(c *ingest.Config) { c.FPS = 0; c.Reconnect.Max = 0 },
			"fps: got 0, want more than 0, at most 1000\nreconnect.max: got 0s, want reconnect.min to 1h",
		},
		{"stream", func(c *ingest.Config) { c.Stream = -2 }, "stream: got -2, want the number of a video track, from 0, or -1 for the largest"},
		{"options", func(c *ingest.Config) { c.FFmpegOptions = "rtsp_transport;udp|headers;X-A: b=c; d|timeout;1" }, ""},
		{
			"options with a space", func(c *ingest.Config) { c.FFmpegOptions = "rtsp_transport udp" },
			`ffmpeg_options: got "rtsp_transport", want key;value|key;value without dashes, such as rtsp_transport;udp|timeout;5000000`,
		},
		{
			"options with a dash", func(c *ingest.Config) { c.FFmpegOptions = "timeout;1|-rtsp_transport;udp" },
			`ffmpeg_options: got "-rtsp_transport", want key;value|key;value without dashes, such as rtsp_transport;udp|timeout;5000000`,
		},
		{"jitter", func(c *ingest.Config) { c.Reconnect.Jitter = 2 }, "reconnect.jitter: got 2, want 0 to 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := ingest.DefaultConfig()
			cfg.URI = "clip.mp4"
			tt.edit(&cfg)
			got := ""
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("Validate() =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestParseURI(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want ingest.URI
	}{
		{"clip.mp4", ingest.URI{Kind: ingest.Path, Target: "clip.mp4"}},
		{"C:clip.mp4", ingest.URI{Kind: ingest.Path, Target: "C:clip.mp4"}},
		{"file:///data/my%20clip.mp4", ingest.URI{Kind: ingest.Path, Target: "/data/my clip.mp4"}},
		{"camera:0", ingest.URI{Kind: ingest.Camera, Target: "0"}},
		{"camera:/dev/video2", ingest.URI{Kind: ingest.Camera, Target: "/dev/video2"}},
		{"gst:videotestsrc ! appsink", ingest.URI{Kind: ingest.GStreamer, Target: "videotestsrc ! appsink"}},
		{"rtsp://u:p@cam:554/1", ingest.URI{Kind: ingest.Stream, Target: "rtsp://u:p@cam:554/1"}},
		{"HTTP://cam/x.mjpg", ingest.URI{Kind: ingest.Stream, Target: "HTTP://cam/x.mjpg"}},
	} {
		if got, err := ingest.ParseURI(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseURI(%q) = %+v, %v", tt.in, got, err)
		}
	}
	for _, in := range []string{
		"", "camera:", "gst: ", "ftp://u:secret@h/x", "rtsp://", "rtsp:///x", "file://", "rtsp://u:my secret@cam/x",
	} {
		_, err := ingest.ParseURI(in)
		if !errors.Is(err, ingest.ErrUnsupported) || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURI(%q) = %v, want ErrUnsupported without the password", in, err)
		}
	}
}

func TestRedactURI(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"rtsp://admin:pw@cam:554/live", "rtsp://***@cam:554/live"},
		{"rtsp://admin@cam/live", "rtsp://***@cam/live"},
		{"rtsp://admin:p@ss/w#rd@cam/live", "rtsp://***@cam/live"},
		{"rtsp://admin:12/34@cam/live", "rtsp://***@cam/live"},
		{"rtsp://cam/live", "rtsp://cam/live"},
		{"rtsp://cam/live@2", "rtsp://cam/live@2"},
		{"http://cam/x?user=admin&pwd=geheim&w=640", "http://cam/x?user=***&pwd=***&w=640"},
		{"http://cam/x?access_token=abc#y", "http://cam/x?access_token=***"},
		{
			`gst:rtspsrc location=rtsp://a:b@cam/1 user-id=admin user-pw="x y" ! appsink`,
			"gst:rtspsrc location=rtsp://***@cam/1 user-id=*** user-pw=*** ! appsink",
		},
		{`open "rtsp://a:b@c/d": refused, then "http://e:f@g"`, `open "rtsp://***@c/d": refused, then "http://***@g"`},
		{`rtsp://admin:a"b'c@cam/live`, "rtsp://***@cam/live"},
		{`open "rtsp://admin:a"b@cam/live": refused`, `open "rtsp://***@cam/live": refused`},
		{`"rtsp://cam/1","rtsp://a:b@cam/2"`, `"rtsp://cam/1","rtsp://***@cam/2"`},
		{"/data/clip.mp4", "/data/clip.mp4"},
		{"", ""},
	} {
		if got := ingest.RedactURI(tt.in); got != tt.want {
			t.Errorf("RedactURI(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// No password survives, whatever its characters.
func FuzzRedactURI(f *testing.F) {
	f.Add("admin", "hunter2")
	f.Add("a", "p@:/?#[]ss")
	f.Add("", "://@")
	f.Add("a", `p"s'w`)
	f.Fuzz(func(t *testing.T, user, password string) {
		if len(password) < 4 || strings.ContainsAny(user+password, " \t\r\n") ||
			strings.Contains("rtsp://***@camera/live", password) {
			t.Skip()
		}
		uri := "rtsp://" + user + ":" + password + "@camera/live"
		if got := ingest.RedactURI(uri); strings.Contains(got, password) || !strings.HasSuffix(got, "@camera/live") {
			t.Errorf("RedactURI(%q) = %q", uri, got)
		}
		_, _ = ingest.ParseURI(uri)
	})
}

func TestPermanent(t *testing.T) {
	for err, want := range map[error]bool{
		ingest.ErrUnsupported: true, ingest.ErrUnreadable: true, ingest.ErrNotFound: true, fs.ErrNotExist: true,
		ingest.ErrConnect: false, ingest.ErrDisconnected: false, ingest.ErrTimeout: false,
	} {
		if got := ingest.Permanent(err); got != want {
			t.Errorf("Permanent(%v) = %v", err, got)
		}
	}
	if !errors.Is(ingest.ErrNotFound, fs.ErrNotExist) {
		t.Error("ErrNotFound is not fs.ErrNotExist")
	}
}

func TestDefaultConfigIsComplete(t *testing.T) {
	cfg := ingest.DefaultConfig()
	cfg.URI = "x"
	if err := cfg.Validate(); err != nil || cfg.Reconnect.Min != time.Second || cfg.Reconnect.Max != time.Minute {
		t.Errorf("DefaultConfig() = %+v, %v", cfg, err)
	}
}
