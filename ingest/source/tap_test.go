package source_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// listener keeps what it is told and given.
type listener struct {
	mu        sync.Mutex
	listening bool
	codings   []ingest.Coding
	units     []*ingest.AccessUnit
}

func (l *listener) Coding(c ingest.Coding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.codings = append(l.codings, c)
}

func (l *listener) Listening(string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listening
}

func (l *listener) AccessUnit(u *ingest.AccessUnit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.units = append(l.units, u)
}

func (l *listener) listen(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listening = on
}

// coding is the last coding; zero before the first.
func (l *listener) coding() ingest.Coding {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.codings) == 0 {
		return ingest.Coding{}
	}
	return l.codings[len(l.codings)-1]
}

func (l *listener) taken() []*ingest.AccessUnit {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.units
}

// tapSource runs a source until the test ends, and returns what taps it and the function that ends it.
func tapSource(t *testing.T, uri string) (*listener, func()) {
	t.Helper()
	l := &listener{}
	cfg := streamConfig(uri)
	cfg.Name, cfg.OpenTimeout, cfg.ReadTimeout = "test", time.Minute, 20*time.Second
	src, err := source.New(cfg, ingest.NewPool(3), source.Settings{Tap: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		_ = src.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			f.Release()
			return nil
		})
	})
	end := func() {
		stop()
		run.Wait()
	}
	t.Cleanup(end)
	return l, end
}

// decodeUnits decodes access units with the program ffmpeg, from the first key frame on, and returns how many pictures they
// hold of each size.
func decodeUnits(t *testing.T, units []*ingest.AccessUnit) (pictures map[string]int) {
	t.Helper()
	var stream bytes.Buffer
	for _, u := range units {
		if u.Key || stream.Len() > 0 {
			stream.Write(u.Data)
		}
	}
	// showinfo prints a line for each picture.
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-f", "h264", "-i", "-", "-autoscale", "0", "-vf", "showinfo", "-f", "null", "-")
	cmd.Stdin = &stream
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("error while decoding")) {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	pictures = map[string]int{}
	for line := range strings.Lines(string(out)) {
		if _, size, ok := strings.Cut(line, " s:"); ok {
			size, _, _ = strings.Cut(size, " ")
			pictures[size]++
		}
	}
	return pictures
}

// checkUnits checks the form of access units that have been tapped without a pause.
func checkUnits(t *testing.T, units []*ingest.AccessUnit) {
	t.Helper()
	keys := 0
	for i, u := range units {
		if i > 0 && (u.Seq != units[i-1].Seq+1 || u.Time <= units[i-1].Time) {
			t.Errorf("unit %d: seq %d after %d, time %v after %v", i, u.Seq, units[i-1].Seq, u.Time, units[i-1].Time)
		}
		if u.Camera != "test" || !bytes.HasPrefix(u.Data, []byte{0, 0}) || time.Since(u.Read) > time.Minute {
			t.Errorf("unit %d: camera %q, read at %v, begins with % x", i, u.Camera, u.Read, u.Data[:4])
		}
		if u.Key {
			keys++
			// The sets come once and before the picture: types 7, 8 and 5.
			for _, begin := range [][]byte{{0, 0, 1, 0x67}, {0, 0, 1, 0x68}, {0, 0, 1, 0x65}} {
				if !bytes.Contains(u.Data, begin) {
					t.Errorf("key frame %d has no % x", i, begin)
				}
			}
		}
	}
	if keys == 0 {
		t.Error("no key frame")
	}
}

// TestTap has cameras of several profiles: what they send is handed out once somebody listens, and can be decoded.
func TestTap(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]byte{"baseline": 66, "main": 77, "high": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", Profile: name, FPS: 20})
			l, end := tapSource(t, server.URL())
			waitFor(t, 60*time.Second, "the format", func() bool { return l.coding().Fit() })
			if c := l.coding(); c.Profile != want || c.Level == 0 || c.Camera != "test" {
				t.Errorf("coding is %+v, want the profile %d", c, want)
			}
			if n := len(l.taken()); n > 0 {
				t.Errorf("%d units while nobody listens", n)
			}
			l.listen(true)
			waitFor(t, 60*time.Second, "units", func() bool { return len(l.taken()) > 40 })
			end()
			units := l.taken()
			checkUnits(t, units)
			if got := decodeUnits(t, units); got["320x240"] < 30 {
				t.Errorf("pictures: %v", got)
			}
			if l.coding() != (ingest.Coding{Camera: "test"}) {
				t.Errorf("after the end the coding is %+v", l.coding())
			}
		})
	}
}

// TestTapUnfit has streams that cannot be passed on.
func TestTapUnfit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  ingesttest.RTSPConfig
		want string
	}{
		"b-frames": {ingesttest.RTSPConfig{Codec: "H264", Profile: "main", BFrames: 2, FPS: 20}, "pictures are not sent in the order in which they are shown (B-frames)"},
		"slow":     {ingesttest.RTSPConfig{Codec: "H264", KeyInterval: 60}, "key frames are more than 5 s apart"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := tapSource(t, ingesttest.StartRTSP(t, c.cfg).URL())
			waitFor(t, 60*time.Second, "the reason", func() bool { return l.coding().Unfit != "" })
			if got := l.coding().Unfit; got != c.want {
				t.Errorf("unfit because %q, want %q", got, c.want)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, c := range l.codings {
				if c.Fit() {
					t.Errorf("told %+v before", c)
				}
			}
		})
	}
	t.Run("H265", func(t *testing.T) {
		t.Parallel()
		server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H265", FPS: 20})
		l, _ := tapSource(t, server.URL())
		l.listen(true)
		waitFor(t, 60*time.Second, "40 pictures", func() bool { return server.Sent() > 40 })
		if c, n := l.coding(), len(l.taken()); c != (ingest.Coding{}) || n > 0 {
			t.Errorf("coding %+v, %d units", c, n)
		}
	})
}

// TestTapResize has a camera that changes the size of its pictures: what comes after that can be decoded, too.
func TestTapResize(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{Codec: "H264", FPS: 20})
	l, end := tapSource(t, server.URL())
	l.listen(true)
	waitFor(t, 60*time.Second, "the format", func() bool { return l.coding().Fit() })
	server.Resize(480, 272)
	n := len(l.taken())
	waitFor(t, 60*time.Second, "units", func() bool { return len(l.taken()) > n+40 })
	if !l.coding().Fit() {
		t.Errorf("coding is %+v", l.coding())
	}
	end()
	if got := decodeUnits(t, l.taken()); got["320x240"] == 0 || got["480x272"] < 20 {
		t.Errorf("pictures: %v", got)
	}
}

// TestTapLengths taps FLV over HTTP without an end, whose NAL units have lengths and whose parameter sets come but once.
func TestTapLengths(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cmd := exec.CommandContext(r.Context(), "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=20",
			"-c:v", "libx264", "-profile:v", "main", "-bf", "0", "-pix_fmt", "yuv420p", "-tune", "zerolatency", "-g", "10", "-f", "flv", "-")
		out, err := cmd.StdoutPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		w.Header().Set("Content-Type", "video/x-flv")
		buf := make([]byte, 4096)
		for {
			n, err := out.Read(buf)
			if n == 0 || err != nil {
				break
			}
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}))
	defer site.Close()
	l, end := tapSource(t, fmt.Sprintf("%s/live.flv", site.URL))
	l.listen(true)
	waitFor(t, 60*time.Second, "units", func() bool { return len(l.taken()) > 50 })
	if c := l.coding(); !c.Fit() || c.Profile != 77 {
		t.Errorf("coding is %+v", c)
	}
	end()
	checkUnits(t, l.taken())
	if got := decodeUnits(t, l.taken()); got["320x240"] < 40 {
		t.Errorf("pictures: %v", got)
	}
}
