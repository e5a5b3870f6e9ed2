package ffmpeg_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest/ffmpeg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the program ffmpeg and returns its output.
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

// picture is a decoded picture in packed RGB.
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
		if err := r.RGB(p.pix); err != nil {
			t.Fatal(err)
		}
		p.at, _ = r.Time()
		all = append(all, p)
	}
}

// The program ffmpeg decodes the same file to the same pixels, byte for byte: in every way from the scaler to the caller
// (straight, through padded rows, with red and blue swapped), to the last column, which the scaler's vectors do not divide,
// and in the order of presentation when pictures were sent out of order. Noise makes colours that no RGB value can show, where
// the scaler's converters differ most.
func TestPixels(t *testing.T) {
	const n = 13
	for _, format := range []string{"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"} {
		for _, size := range []string{"64x48", "64x49", "46x34", "45x33"} {
			path := filepath.Join(t.TempDir(), "clip.mkv")
			run(t, "-f", "lavfi", "-i", "testsrc2=size="+size+":rate=10,format="+format+",noise=alls=100:allf=t", "-frames:v", fmt.Sprint(n),
				"-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "12", path)
			want := run(t, "-i", path, "-f", "rawvideo", "-sws_flags", "bicubic", "-pix_fmt", "bgr24", "-")
			for i := 0; i+2 < len(want); i += 3 {
				want[i], want[i+2] = want[i+2], want[i]
			}
			for _, live := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s live %v", format, size, live), func(t *testing.T) {
					got, r := decode(t, path, ffmpeg.Options{Track: -1, Live: live, MaxPixels: 1 << 20})
					if len(got) != n || r.Rate() != 10 {
						t.Fatalf("%d pictures at %v per second, want %d at 10", len(got), r.Rate(), n)
					}
					comparePictures(t, got, want)
				})
			}
		}
	}
}

// comparePictures compares pictures with the concatenated pixels of a clip of 10 pictures per second.
func comparePictures(t *testing.T, got []picture, want []byte) {
	t.Helper()
	size := len(want) / len(got)
	for i, p := range got {
		if worst := worstDifference(p.pix, want[i*size:][:size]); worst > 0 {
			t.Errorf("picture %d differs by up to %d from the picture of the program ffmpeg", i, worst)
		}
		if d := p.at - time.Duration(i)*100*time.Millisecond; d.Abs() > 2*time.Millisecond {
			t.Errorf("picture %d is at %v", i, p.at)
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

func TestPicturesDoNotAllocate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.avi")
	run(t, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=5", "-frames:v", "30", "-pix_fmt", "yuvj420p", "-c:v", "mjpeg", path)
	r, err := ffmpeg.Open(t.Context(), "file:"+path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	pix := make([]byte, 3*64*48)
	n := testing.AllocsPerRun(20, func() {
		if _, _, err := r.Next(); err != nil {
			t.Error(err)
		} else if err := r.RGB(pix); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per picture, want none", n)
	}
}

// One red has different numbers in BT.601 and BT.709, in limited and in full range.
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
			got, _ := decode(t, path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
			for _, p := range got {
				middle := p.pix[3*(32*64+32):][:3]
				if worst := worstDifference(middle, []byte{0xC8, 0x1E, 0x1E}); worst > 4 {
					t.Fatalf("RGB %v, want 200 30 30", middle)
				}
			}
		})
	}
}

// A phone stores an upright film as lying pictures and a tag.
func TestPicturesStandUpright(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []string{"64x48", "66x50"} {
		lying := filepath.Join(dir, size+".mp4")
		run(t, "-f", "lavfi", "-i", "testsrc=size="+size+":rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", lying)
		want, _ := decode(t, lying, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
		for _, degrees := range []int{0, 270, 180, 90} { // the tag counts anticlockwise
			path := filepath.Join(dir, fmt.Sprintf("%s-%d.mp4", size, degrees))
			run(t, "-i", lying, "-c", "copy", "-metadata:s:v", fmt.Sprintf("rotate=%d", degrees), path)
			got, _ := decode(t, path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
			for i, p := range got {
				if w := want[i]; p.w != w.w || p.h != w.h || !bytes.Equal(p.pix, w.pix) {
					t.Errorf("%s, rotate=%d: picture %d is %dx%d and not the lying one, turned", size, degrees, i, p.w, p.h)
				}
			}
			for i := range want {
				want[i] = turnRight(want[i])
			}
		}
	}
}

// turnRight returns the picture after a quarter turn to the right.
func turnRight(p picture) picture {
	out := picture{w: p.h, h: p.w, pix: make([]byte, len(p.pix)), at: p.at}
	for y := range p.h {
		for x := range p.w {
			copy(out.pix[3*(x*out.w+p.h-1-y):][:3], p.pix[3*(y*p.w+x):])
		}
	}
	return out
}

// The header of an MP4 file holds a matrix by which its pictures are shown, mirrored ones included. The program ffmpeg turns
// its output the same way.
func TestDisplayMatrix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "clip.mp4")
	run(t, "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-frames:v", "2", "-pix_fmt", "yuv444p", "-c:v", "libx264", path)
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lying, _ := decode(t, path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
	for _, m := range [][4]int32{{1, 0, 0, 1}, {-1, 0, 0, 1}, {-1, 0, 0, -1}, {1, 0, 0, -1}, {0, 1, 1, 0}, {0, 1, -1, 0}, {0, -1, -1, 0}, {0, -1, 1, 0}} {
		t.Run(fmt.Sprint(m), func(t *testing.T) {
			film := bytes.Clone(stored)
			head := film[bytes.Index(film, []byte("tkhd"))+4:]
			for i, v := range m {
				binary.BigEndian.PutUint32(head[40+4*(i+i/2):], uint32(v<<16)) // of version 0
			}
			path := filepath.Join(dir, "turned.mp4")
			if err := os.WriteFile(path, film, 0o600); err != nil {
				t.Fatal(err)
			}
			got, _ := decode(t, path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
			for i, p := range got {
				if w := show(lying[i], m); p.w != w.w || p.h != w.h || !bytes.Equal(p.pix, w.pix) {
					t.Errorf("picture %d of %dx%d is not the one of %dx%d that the matrix shows", i, p.w, p.h, w.w, w.h)
				}
			}
			want := run(t, "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
			if len(got) != 2 || worstDifference(slices.Concat(got[0].pix, got[1].pix), want) > 2 {
				t.Errorf("%d pictures, not the two that the program ffmpeg shows", len(got))
			}
		})
	}
}

// show returns the picture with each pixel at (x, y) moved to (a x + c y, b x + d y), for m = a, b, c, d.
func show(p picture, m [4]int32) picture {
	at := func(x, y int, a, c int32) int {
		n := int(a)*x + int(c)*y
		if a+c < 0 {
			n += int(-a)*(p.w-1) + int(-c)*(p.h-1)
		}
		return n
	}
	out := picture{w: p.w, h: p.h, pix: make([]byte, len(p.pix))}
	if m[0] == 0 {
		out.w, out.h = p.h, p.w
	}
	for y := range p.h {
		for x := range p.w {
			to := at(x, y, m[1], m[3])*out.w + at(x, y, m[0], m[2])
			copy(out.pix[3*to:][:3], p.pix[3*(y*p.w+x):])
		}
	}
	return out
}

func TestPicturesOverTheLimitAreNotDecoded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clip.mkv")
	run(t, "-f", "lavfi", "-i", "testsrc=size=320x240:rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "libx264", path)
	if r, err := ffmpeg.Open(t.Context(), "file:"+path, ffmpeg.Options{Track: -1, MaxPixels: 320*240 - 1}); err == nil {
		defer r.Close()
		if w, h, err := r.Next(); err == nil {
			t.Errorf("a picture of %dx%d was decoded, above the limit", w, h)
		}
	}
}

// The server accepts connections and never answers.
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
	r, err := ffmpeg.Open(ctx, "file:"+path, ffmpeg.Options{Track: -1, MaxPixels: 1 << 20})
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
	if _, ok := r.Time(); err == nil || ok || r.Rate() != 0 || r.RGB(make([]byte, 3)) == nil {
		t.Error("a closed reader still answers")
	}
}

// Of several tracks the largest is read, of equal ones the default, and a number chooses. Cover pictures are no tracks.
func TestTracks(t *testing.T) {
	dir := t.TempDir()
	inputs := func(sizes ...string) (args []string) {
		for _, size := range sizes {
			args = append(args, "-f", "lavfi", "-i", "testsrc=rate=5:size="+size)
		}
		return append(args, "-frames:v", "3", "-pix_fmt", "yuv420p", "-c:v", "mpeg2video")
	}
	cover := filepath.Join(dir, "cover.jpg")
	run(t, "-f", "lavfi", "-i", "testsrc=size=640x480", "-frames:v", "1", cover)
	small, sound := filepath.Join(dir, "small.mp4"), filepath.Join(dir, "sound.mp4")
	run(t, append(inputs("64x48"), small)...)
	run(t, "-f", "lavfi", "-i", "sine=duration=1", sound)
	for name, args := range map[string][]string{
		"first.mkv":   append(inputs("64x48", "128x96", "96x80"), "-map", "0", "-map", "1", "-map", "2", "-disposition:v", "0"),
		"first.ts":    append(inputs("64x48", "128x96", "96x80"), "-map", "0", "-map", "1", "-map", "2"),
		"equal.mkv":   append(inputs("64x48", "64x48", "48x64"), "-map", "0", "-map", "1", "-map", "2", "-disposition:v", "0", "-disposition:v:1", "default"),
		"covered.mp4": {"-i", small, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"},
	} {
		run(t, append(args, filepath.Join(dir, name))...)
	}
	for _, tt := range []struct {
		file       string
		track      int
		number, of int
		w          int
		fails      string
	}{
		{"first.mkv", -1, 1, 3, 128, ""},
		{"first.ts", -1, 1, 3, 128, ""},
		{"first.mkv", 0, 0, 3, 64, ""},
		{"first.ts", 2, 2, 3, 96, ""},
		{"first.mkv", 3, 0, 0, 0, "it has 3 video tracks, with the numbers 0 to 2, and no track 3"},
		{"equal.mkv", -1, 1, 3, 64, ""},
		{"covered.mp4", -1, 0, 1, 64, ""},
		{"covered.mp4", 1, 0, 0, 0, "it has one video track, with the number 0, and no track 1"},
		{"sound.mp4", -1, 0, 0, 0, "it has no video track"},
	} {
		t.Run(fmt.Sprint(tt.file, tt.track), func(t *testing.T) {
			r, err := ffmpeg.Open(t.Context(), "file:"+filepath.Join(dir, tt.file), ffmpeg.Options{Track: tt.track, MaxPixels: 1 << 20})
			if tt.fails != "" {
				if err == nil || err.Error() != tt.fails {
					t.Errorf("Open() = %v, want %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			number, of := r.Track()
			if w, _, err := r.Next(); err != nil || w != tt.w || number != tt.number || of != tt.of {
				t.Errorf("track %d of %d, %d wide, %v, want %d of %d, %d wide", number, of, w, err, tt.number, tt.of, tt.w)
			}
		})
	}
}

// Opening and decoding any file ends, in an error or in pictures of the allowed size.
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
			if err := r.RGB(make([]byte, 3*w*h)); err != nil {
				return
			}
		}
	})
}
