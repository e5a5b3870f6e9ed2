package ffmpeg_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the program ffmpeg and returns what it wrote to stdout.
func run(t testing.TB, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-nostdin", "-v", "error", "-y"}, args...)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %v: %v: %s (\"make deps\" installs it)", args, err, complaints.Bytes())
	}
	return out
}

// picture is a decoded picture: packed BGR.
type picture struct {
	w, h int
	pix  []byte
	at   time.Duration
}

func decode(t testing.TB, path string, opt ffmpeg.Options) ([]picture, *ffmpeg.Reader) {
	t.Helper()
	r, err := ffmpeg.Open(t.Context(), "file:"+path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	var all []picture
	for {
		w, h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, r
		}
		if err != nil {
			t.Fatal(err)
		}
		p := picture{w: w, h: h, pix: make([]byte, 3*w*h)}
		if err := r.BGR(p.pix); err != nil {
			t.Fatal(err)
		}
		p.at, _ = r.Time()
		all = append(all, p)
	}
}

// The program ffmpeg decodes the same file to the same pixels, to its last column, which the scaler's vectors do not
// divide, and in the order of presentation, with pictures that were sent out of order. OpenCV's and its scaler round
// chroma in the same way.
func TestPixels(t *testing.T) {
	for _, live := range []bool{false, true} {
		for _, size := range []string{"64x48", "333x227"} {
			t.Run(fmt.Sprintf("%s live %v", size, live), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "clip.mkv")
				run(t, "-f", "lavfi", "-i", "testsrc2=size="+size+":rate=10", "-frames:v", "25", "-pix_fmt", "yuv444p", "-c:v", "libx264",
					"-bf", "3", "-g", "12", path)
				want := run(t, "-i", path, "-f", "rawvideo", "-sws_flags", "bicubic", "-pix_fmt", "bgr24", "-")
				got, r := decode(t, path, ffmpeg.Options{Live: live, MaxPixels: 1 << 20})
				if len(got) != 25 || r.Rate() != 10 {
					t.Fatalf("%d pictures at %v a second, want 25 at 10", len(got), r.Rate())
				}
				for i, p := range got {
					part := want[i*len(want)/25:][:len(want)/25]
					if worst := worstDifference(p.pix, part); worst > 2 {
						t.Errorf("picture %d differs by up to %d from that of the program ffmpeg", i, worst)
					}
					if d := p.at - time.Duration(i)*100*time.Millisecond; d.Abs() > 2*time.Millisecond {
						t.Errorf("picture %d is at %v", i, p.at)
					}
				}
			})
		}
	}
}

func worstDifference(a, b []byte) int {
	if len(a) != len(b) {
		return 256
	}
	worst := 0
	for i := range a {
		worst = max(worst, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return worst
}

// The same red is other numbers in BT.601 and BT.709, in limited and in full range.
func TestColours(t *testing.T) {
	for matrix, tags := range map[string][]string{
		"bt601":                {},
		"bt709":                {"-colorspace", "bt709"},
		"bt709:out_range=full": {"-colorspace", "bt709", "-color_range", "pc"},
	} {
		t.Run(matrix, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "clip.mkv")
			run(t, append(append([]string{
				"-f", "lavfi", "-i", "color=0xC81E1E:size=64x64:rate=5", "-frames:v", "5", "-vf",
				"scale=out_color_matrix=" + matrix + ",format=yuv420p", "-c:v", "libx264", "-qp", "4",
			}, tags...), path)...)
			got, _ := decode(t, path, ffmpeg.Options{MaxPixels: 1 << 20})
			for _, p := range got {
				middle := p.pix[3*(32*64+32):][:3]
				if worst := worstDifference(middle, []byte{0x1E, 0x1E, 0xC8}); worst > 4 {
					t.Fatalf("BGR %v, want 30 30 200", middle)
				}
			}
		})
	}
}

func TestQuarterTurns(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.mp4")
	run(t, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", plain)
	for degrees, want := range map[string]int{"0": 0, "90": 3, "180": 2, "270": 1} { // of the tag: anticlockwise
		path := filepath.Join(dir, degrees+".mp4")
		run(t, "-i", plain, "-c", "copy", "-metadata:s:v", "rotate="+degrees, path)
		if _, r := decode(t, path, ffmpeg.Options{MaxPixels: 1 << 20}); r.QuarterTurns() != want {
			t.Errorf("rotate=%s: %d quarter turns to the right, want %d", degrees, r.QuarterTurns(), want)
		}
	}
}

func TestPicturesOverTheLimitAreNotDecoded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.mkv")
	run(t, "-f", "lavfi", "-i", "testsrc=size=320x240:rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", path)
	if r, err := ffmpeg.Open(t.Context(), "file:"+path, ffmpeg.Options{MaxPixels: 320*240 - 1}); err == nil {
		defer r.Close()
		if w, h, err := r.Next(); err == nil {
			t.Errorf("a picture of %dx%d, more pixels than allowed", w, h)
		}
	}
}

// A server that accepts and says nothing.
func TestContextEndsOpen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			accepted <- conn
		}
		cancel()
	}()
	if _, err := ffmpeg.Open(ctx, "rtsp://"+l.Addr().String()+"/", ffmpeg.Options{Live: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want context.Canceled", err)
	}
	(<-accepted).Close()
}

func TestAfterClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.avi")
	run(t, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "3", "-c:v", "mjpeg", path)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := ffmpeg.Open(ctx, "file:"+path, ffmpeg.Options{MaxPixels: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, _, err := r.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("Next = %v after cancel", err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
	_, _, err = r.Next()
	if _, ok := r.Time(); err == nil || ok || r.Rate() != 0 || r.QuarterTurns() != 0 || r.BGR(make([]byte, 3)) == nil {
		t.Error("a closed reader still answers")
	}
}

// Whatever is in a file, opening and decoding it ends, in an error or in pictures of the allowed size.
func FuzzFile(f *testing.F) {
	for _, format := range []string{"avi", "matroska", "mp4", "gif", "mpegts"} {
		path := filepath.Join(f.TempDir(), "seed")
		run(f, "-f", "lavfi", "-i", "testsrc=size=32x32:rate=5", "-frames:v", "2", "-f", format, path)
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "clip")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		const limit = 1 << 16
		r, err := ffmpeg.Open(t.Context(), "file:"+path, ffmpeg.Options{Pairs: "protocol_whitelist;file,crypto,data", MaxPixels: limit})
		if err != nil {
			return
		}
		defer r.Close()
		for range 100 {
			w, h, err := r.Next()
			if err != nil {
				return
			}
			if w <= 0 || h <= 0 || w*h > limit {
				t.Fatalf("a picture of %dx%d", w, h)
			}
			if err := r.BGR(make([]byte, 3*w*h)); err != nil {
				return
			}
		}
	})
}
