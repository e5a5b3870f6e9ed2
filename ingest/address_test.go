package ingest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest"
)

// What FFmpeg could never open is a fault, and where a password may be the reason, the message says how to write it. It never
// quotes the address.
func TestBadlyTypedAddresses(t *testing.T) {
	const hint = "encode # as %23"
	for _, tt := range []struct{ in, want string }{
		{"rtsp://admin:sec#ret@cam/1", hint},
		{"rtsp://admin:sec/ret@cam/1", hint},
		{"rtsp://admin:sec?ret@cam/1", hint},
		{"rtsp://ad#secret:pw@cam/1", hint},
		{"rtsp://ad?secret:pw@cam/1", hint},
		{"rtsp://admin:100%secret@cam/1", "without two hexadecimal digits"},
		{"rtsp://admin:secret%@cam/1", "without two hexadecimal digits"},
		{"rtsp://admin:secret%2@cam/1", "without two hexadecimal digits"},
		{"rtsp://h:secret/x", "no number"},
		{"rtsp://u:secret", "quote the address"},
		{"rtsp://u:", "no number"},
		{"rtsp://u:p@h:secret/x", "no number"},
		{"rtsp://cam:0/x", "no number"},
		{"rtsp://cam:65536/x", "no number"},
		{"rtsp://cam:-1/x", "no number"},
		{"rtsp://cam:+554/x", "no number"},
		{"rtsp://fe80::1/x", "[brackets]"},
		{"rtsp://[fe80::1/x", "brackets"},
		{"rtsp://a[b/x", "brackets"},
		{"rtsp://u:secret@/x", "no host"},
		{"rtsp://@:554/x", "no host"},
		{"rtsp://?x", "no host"},
		{"http://:80/x", "no host"},
		{"rtsp://$HOST/x", "no host name has"},
		{"rtsp://${HOST/x", "no host name has"},
		{"rtsp:/cam/x", "no // after rtsp:"},
		{"rtsp:cam", "no // after rtsp:"},
		{"http:\\\\cam\\x", "no // after http:"},
		{"rtsp://cam/\x1b[2J", "control character"},
		{"rtsp://u:secret\u009b@cam/", "control character"},
		{"rtsp://u:" + strings.Repeat("secret", 30) + "@cam/", "127"},
	} {
		_, err := ingest.ParseURI(tt.in)
		if !errors.Is(err, ingest.ErrUnsupported) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseURI(%q) = %v, want ErrUnsupported with %q and without the secret", tt.in, err, tt.want)
		}
	}
	for _, in := range []string{
		"rtsp://cam", "rtsp://cam/live@2", "rtsp://cam:8554/live@2", "http://cam/x?mail=a@b", "http://cam?mail=a@b", "rtsp://[fe80::1]:554/x",
		"rtsp://[::1]/x", "udp://@239.0.0.1:1234", "udp://:1234", "srt://:9000?mode=listener", "tcp://0.0.0.0:5000?listen",
		"rtsp://u@cam/x", "rtsp://u:p@ss:w@cam/x", `rtsp://u:a"b\]<>^{|}@cam/x`, "rtsp://u:ä€@cam/x", "rtsp://kamera-süd.example/x",
		"rtsp://u:%23%41@cam/x", "http://cam/100%", "RTSP://cam/x", "rtmp://h/app/key", "http://cam_1.lan/x.mjpg",
	} {
		if _, err := ingest.ParseURI(in); err != nil {
			t.Errorf("ParseURI(%q) = %v", in, err)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	for _, tt := range []struct{ in, host, port string }{
		{"rtsp://cam", "cam", ""},
		{"rtsp://u:a@b:c@cam:554/x:1@2", "cam", "554"},
		{"nats://token@[::1]:4222", "::1", "4222"},
		{"udp://:1234", "", "1234"},
	} {
		if host, port, err := ingest.SplitAddress(tt.in); err != nil || host != tt.host || port != tt.port {
			t.Errorf("SplitAddress(%q) = %q, %q, %v", tt.in, host, port, err)
		}
	}
}

func TestWithLogin(t *testing.T) {
	for _, tt := range []struct{ address, want string }{
		{"rtsp://cam/live@2", "rtsp://a%40b:p%23@cam/live@2"},
		{"http://cam?x=1@2", "http://a%40b:p%23@cam?x=1@2"},
		{"rtsp://u@cam/live", ""},
		{"udp://cam:1", ""},
		{"clip.mp4", ""},
		{"camera:0", ""},
		{"gst:rtspsrc location=rtsp://cam ! appsink", ""},
	} {
		got, err := ingest.WithLogin(tt.address, "a@b", "p#")
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("WithLogin(%q) = %q, %v, want %q", tt.address, got, err, tt.want)
		}
	}
	if got, err := ingest.WithLogin("rtsp://cam", "u", ""); err != nil || got != "rtsp://u@cam" {
		t.Errorf("WithLogin() without a password = %q, %v", got, err)
	}
}
