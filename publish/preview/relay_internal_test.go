package preview

import (
	"bytes"
	"log/slog"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

// line is a line to a viewer that carries so many bits per second, and what arrives at its end.
type line struct {
	bits   int
	h264   codecs.H264Packet
	stream []byte // Annex B
}

func (l *line) WriteRTP(_ *rtp.Header, payload []byte) (int, error) {
	time.Sleep(time.Duration(8*len(payload)) * time.Second / time.Duration(l.bits)) // on the bubble's clock
	b, err := l.h264.Unmarshal(payload)
	l.stream = append(l.stream, b...)
	return len(payload), err
}

func (l *line) Write([]byte) (int, error) { return 0, nil }

// accessUnits encodes pictures with a key frame each half second at 20 per second, as Annex B.
func accessUnits(t *testing.T, seconds string) []*ingest.AccessUnit {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20", "-t", seconds,
		"-c:v", "libx264", "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p", "-x264-params", "aud=1:scenecut=0", "-f", "h264", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v: \"make deps\" installs it", err)
	}
	var units []*ingest.AccessUnit
	delimiter := []byte{0, 0, 0, 1, 9}
	for part := range bytes.SplitSeq(out, delimiter) {
		if len(part) > 0 {
			n := len(units)
			units = append(units, &ingest.AccessUnit{
				Camera: "front", Seq: uint64(n + 1), Time: time.Duration(n) * time.Second / 20, Key: n%10 == 0, Data: append(bytes.Clone(delimiter), part...),
			})
		}
	}
	return units
}

// countPictures decodes Annex B with the program ffmpeg, which must find no fault in it.
func countPictures(t *testing.T, stream []byte) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-fps_mode", "passthrough", "-")
	cmd.Stdin = bytes.NewReader(stream)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %s", err, &complaints)
	}
	return len(out) / (320 * 240)
}

// TestSlowViewer has viewers of one camera whose lines carry more than it sends, half of that, and next to nothing. The first one
// gets all pictures; the others lose some up to a key frame, so that what arrives can be decoded and is not late for ever. None
// makes the camera wait, or takes more memory than is allowed.
func TestSlowViewer(t *testing.T) {
	units := accessUnits(t, "30")
	bytesSent := 0
	for _, u := range units {
		bytesSent += len(u.Data)
	}
	rate := 8 * bytesSent / 30
	lines := []*line{{bits: 20 * rate}, {bits: rate / 2}, {bits: rate / 50}}
	synctest.Test(t, func(t *testing.T) {
		m, err := newMetrics(prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		s, err := newStream(schematest.NewCamera("front"), DefaultConfig(), slog.New(slog.DiscardHandler), m)
		if err != nil {
			t.Fatal(err)
		}
		s.relays.set(ingest.Coding{Camera: "front", Profile: 100, Level: 31})
		const fmtp = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"
		var viewers []*relay
		done := make(chan struct{})
		for _, l := range lines {
			v := newRelay(s, &offer{h264: &format{"102", fmtp}, vp8: &format{"96", ""}}, func() {})
			v.out.TrackLocalWriter, v.out.h264, v.out.vp8 = l, 102, 96
			close(v.bound)
			viewers = append(viewers, v)
			go func() {
				v.run()
				done <- struct{}{}
			}()
			s.joined(v)
		}
		for i, u := range units {
			u.Read = time.Now()
			s.relays.pass(u)
			if took := time.Since(u.Read); took != 0 {
				t.Fatalf("unit %d waited %v for a viewer", i, took)
			}
			for n, v := range viewers {
				if v.units.Len() > relayPictures || v.units.Bytes() > relayBytes {
					t.Fatalf("viewer %d: %d pictures of %d bytes wait", n, v.units.Len(), v.units.Bytes())
				}
			}
			time.Sleep(time.Second / 20)
		}
		if n := s.encoded.Load(); n != 0 {
			t.Errorf("pictures are encoded for %d viewers", n)
		}
		for _, v := range viewers {
			s.left(v)
			v.close()
		}
		for range viewers {
			<-done
		}
		if s.relays.any() {
			t.Error("somebody is left")
		}
	})
	got := make([]int, len(lines))
	for i, l := range lines {
		got[i] = countPictures(t, l.stream)
	}
	t.Logf("%d pictures at %d kbit/s: %v arrive", len(units), rate/1000, got)
	if got[0] < len(units)-1 || got[1] < len(units)*2/5 || got[1] > len(units)*3/5 || got[2] > len(units)/10 {
		t.Errorf("of %d pictures, %v arrive", len(units), got)
	}
}

// TestClock holds the timestamps of a viewer together while codecs and connections change.
func TestClock(t *testing.T) {
	c, now := clock{stamp: 0xFFFFFF00}, time.Now()
	for i, step := range []struct {
		u     unit
		after time.Duration
		want  uint32 // ticks since the last one
	}{
		{unit{h264: true, time: time.Hour}, 0, 0},
		{unit{h264: true, time: time.Hour + 40*time.Millisecond}, 70 * time.Millisecond, 3600},
		{unit{h264: true, time: 10 * time.Millisecond}, 200 * time.Millisecond, 18000}, // another connection
		{unit{h264: true, time: 50 * time.Millisecond}, 10 * time.Millisecond, 3600},
		{unit{time: 5 * time.Millisecond}, 500 * time.Millisecond, 45000}, // another codec
		{unit{time: 105 * time.Millisecond}, 90 * time.Millisecond, 9000},
		{unit{time: 105 * time.Millisecond}, 0, 90}, // time stands still
		{unit{h264: true, time: time.Hour}, time.Minute, 60 * 90000},
		{unit{h264: true, time: 2 * time.Hour}, 100 * time.Millisecond, 9000}, // a jump
	} {
		before := c.stamp
		now = now.Add(step.after)
		if got := c.next(step.u, now); got-before != step.want {
			t.Errorf("step %d: %d ticks, want %d", i, got-before, step.want)
		}
	}
}

// TestProfiles says who takes what.
func TestProfiles(t *testing.T) {
	camera := func(profile, constraints, level byte) ingest.Coding {
		return ingest.Coding{Profile: profile, Constraints: constraints, Level: level}
	}
	const anyLevel = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="
	for _, c := range []struct {
		fmtp   string
		camera ingest.Coding
		want   int
	}{
		{anyLevel + "42e01f", camera(66, 0xC0, 31), constrainedBaseline},
		{anyLevel + "42001f", camera(66, 0, 40), constrainedBaseline},
		{anyLevel + "4D001F", camera(66, 0xC0, 31), mainProfile},
		{anyLevel + "64001f", camera(77, 0, 51), highProfile},
		{anyLevel + "640c1f", camera(100, 0, 40), highProfile},
		{"profile-level-id=42e01f; Packetization-Mode=1; level-asymmetry-allowed=1", camera(66, 0xC0, 51), constrainedBaseline},
		{anyLevel + "42e01f", camera(77, 0, 31), noProfile},
		{anyLevel + "4d801f", camera(77, 0, 31), noProfile}, // constrained baseline by another name
		{anyLevel + "42e01f", camera(77, 0x80, 31), constrainedBaseline},
		{anyLevel + "4d001f", camera(100, 0, 31), noProfile},
		{anyLevel + "64001f", camera(110, 0, 31), noProfile}, // 10 bits
		{anyLevel + "f4001f", camera(100, 0, 31), predictiveProfile},
		{anyLevel + "f4001f", camera(244, 0, 31), noProfile}, // 4:4:4
		{anyLevel + "6e001f", camera(66, 0xC0, 31), noProfile},
		{anyLevel + "nonsense", camera(66, 0xC0, 31), noProfile},
		{anyLevel + "42", camera(66, 0xC0, 31), noProfile},
		{anyLevel + "42e01f", camera(0, 0, 0), noProfile},
		{anyLevel + "42e01f", ingest.Coding{Profile: 66, Unfit: "B-frames"}, noProfile},
		{"profile-level-id=42e01f;packetization-mode=1", camera(66, 0xC0, 40), noProfile},
		{"profile-level-id=42e028;packetization-mode=1", camera(66, 0xC0, 40), constrainedBaseline},
		{"profile-level-id=42e01f;level-asymmetry-allowed=1", camera(66, 0xC0, 31), noProfile},
		{"packetization-mode=1", camera(66, 0xC0, 31), noProfile},
		{"packetization-mode=1", camera(66, 0xC0, 10), constrainedBaseline},
		{"", camera(66, 0xC0, 31), noProfile},
	} {
		if got := takenAs(c.fmtp, c.camera); got != c.want {
			t.Errorf("takenAs(%q, %+v) = %d, want %d", c.fmtp, c.camera, got, c.want)
		}
	}
}

var _ webrtc.TrackLocalWriter = (*line)(nil)
