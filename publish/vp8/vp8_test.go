package vp8_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/vp8"
	"github.com/oodcast/oodcast/publish/vp8/vp8test"
)

// scene draws picture i of a moving test scene: a gradient, a textured ground and a bright block that travels.
func scene(dst []byte, w, h, i int) []byte {
	rng := rand.New(rand.NewPCG(7, 7))
	for y := range h {
		for x := range w {
			p := dst[3*(y*w+x):]
			n := byte(rng.IntN(12))
			p[0], p[1], p[2] = byte(255*x/w)/2+n, byte(255*y/h)/2+40+n, 90+n
		}
	}
	for y := h / 3; y < h/3+h/6; y++ {
		for x := (5 * i) % (w - w/6); x < (5*i)%(w-w/6)+w/6; x++ {
			p := dst[3*(y*w+x):]
			p[0], p[1], p[2] = 250, 220, 30
		}
	}
	return dst
}

func psnr(a, b []byte) float64 {
	var s float64
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		s += d * d
	}
	return 10 * math.Log10(255*255*float64(len(a))/max(s, 1e-9))
}

func TestEncodeDecode(t *testing.T) {
	for _, size := range [][2]int{{640, 480}, {321, 181}, {64, 64}, {2, 2}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			w, h := size[0], size[1]
			enc, err := vp8.NewEncoder(vp8.DefaultConfig(w, h))
			if err != nil {
				t.Fatal(err)
			}
			defer enc.Close()
			dec, err := vp8test.NewDecoder()
			if err != nil {
				t.Fatal(err)
			}
			defer dec.Close()
			rgb := make([]byte, 3*w*h)
			for i := range 12 {
				if w > 12 {
					scene(rgb, w, h, i)
				}
				in := vp8.RGBToI420(nil, rgb, w, h)
				b, key, err := enc.Encode(in, time.Duration(i)*66*time.Millisecond, i == 7)
				if err != nil {
					t.Fatal(err)
				}
				if want := i == 0 || i == 7; key != want {
					t.Errorf("picture %d: key = %v, want %v", i, key, want)
				}
				p, err := dec.Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				if p.Width != w || p.Height != h {
					t.Fatalf("picture %d: decoded %dx%d, want %dx%d", i, p.Width, p.Height, w, h)
				}
				if q := psnr(p.I420, in); q < 30 {
					t.Errorf("picture %d: PSNR %.1f dB, want at least 30", i, q)
				}
			}
		})
	}
}

// TestFFmpegDecodes writes the stream to an IVF file and lets an independent decoder count the frames.
func TestFFmpegDecodes(t *testing.T) {
	probe, err := exec.LookPath("ffprobe")
	if err != nil {
		t.Fatal("ffprobe is missing: run `make deps`")
	}
	const w, h, n = 320, 240, 30
	enc, err := vp8.NewEncoder(vp8.Config{Width: w, Height: h, Bitrate: 500})
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	var ivf bytes.Buffer
	ivf.WriteString("DKIF")
	for _, v := range []any{
		uint16(0), uint16(32), []byte("VP80"), uint16(w), uint16(h), uint32(30), uint32(1), uint64(n),
	} {
		if err := binary.Write(&ivf, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	rgb := make([]byte, 3*w*h)
	for i := range n {
		b, _, err := enc.Encode(vp8.RGBToI420(nil, scene(rgb, w, h, i), w, h), time.Duration(i)*time.Second/30, false)
		if err != nil {
			t.Fatal(err)
		}
		_ = binary.Write(&ivf, binary.LittleEndian, uint32(len(b)))
		_ = binary.Write(&ivf, binary.LittleEndian, uint64(i))
		ivf.Write(b)
	}
	file := filepath.Join(t.TempDir(), "out.ivf")
	if err := os.WriteFile(file, ivf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), probe, "-v", "error", "-count_frames", "-show_entries",
		"stream=codec_name,width,height,nb_read_frames", "-of", "csv=p=0", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), "vp8,320,240,30"; got != want {
		t.Errorf("ffprobe reports %q, want %q", got, want)
	}
}

func TestBitrateIsObeyed(t *testing.T) {
	for _, tt := range []struct {
		bitrate     int
		least, most float64
	}{{800, 600, 1000}, {400, 280, 540}} {
		rate := bitrateOfNoise(t, tt.bitrate)
		rate(30) // let the rate control settle
		if got := rate(90); got < tt.least || got > tt.most {
			t.Errorf("at %d kbit/s: %.0f kbit/s", tt.bitrate, got)
		}
	}
}

// bitrateOfNoise returns a function that encodes more pictures and returns their bitrate in kbit/s.
func bitrateOfNoise(t *testing.T, bitrate int) func(pictures int) float64 {
	t.Helper()
	const w, h, fps = 320, 240, 15
	enc, err := vp8.NewEncoder(vp8.Config{Width: w, Height: h, Bitrate: bitrate})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = enc.Close() })
	rng := rand.New(rand.NewPCG(1, 2))
	pts := time.Duration(0)
	return func(pictures int) float64 {
		bits := 0
		for i := range pictures {
			rgb := scene(make([]byte, 3*w*h), w, h, i)
			for j := range rgb { // temporal noise: nothing can be copied from the last picture
				rgb[j] += byte(rng.IntN(24))
			}
			b, _, err := enc.Encode(vp8.RGBToI420(nil, rgb, w, h), pts, false)
			if err != nil {
				t.Fatal(err)
			}
			bits += 8 * len(b)
			pts += time.Second / fps
		}
		return float64(bits) / 1000 * fps / float64(pictures)
	}
}

func TestBadUse(t *testing.T) {
	_, err := vp8.NewEncoder(vp8.Config{Width: 0, Height: 20000, Bitrate: -1})
	want := "vp8.width: got 0, want 2..16383\nvp8.height: got 20000, want 2..16383\nvp8.bitrate: got -1, want 50..50000"
	if err == nil || err.Error() != want {
		t.Errorf("NewEncoder() = %q, want %q", err, want)
	}
	enc, err := vp8.NewEncoder(vp8.DefaultConfig(64, 48))
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = enc.Encode(make([]byte, 10), 0, false)
	if want := "vp8 encode: picture has 10 bytes, want 4608 for 64x48"; err == nil || err.Error() != want {
		t.Errorf("Encode(short) = %v, want %q", err, want)
	}
	pic := make([]byte, vp8.I420Size(64, 48))
	for _, pts := range []time.Duration{time.Second, time.Second, 0} { // a clock that stands still or jumps back
		if _, _, err := enc.Encode(pic, pts, false); err != nil {
			t.Errorf("Encode(pts %v) = %v", pts, err)
		}
	}
	for range 2 {
		if err := enc.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := enc.Encode(pic, 0, false); !errors.Is(err, vp8.ErrClosed) {
		t.Errorf("Encode after Close = %v, want ErrClosed", err)
	}
}

func TestRGBToI420(t *testing.T) {
	// Reference values of BT.601 limited range.
	for _, c := range []struct{ r, g, b, y, u, v byte }{
		{0, 0, 0, 16, 128, 128},
		{255, 255, 255, 235, 128, 128},
		{255, 0, 0, 82, 90, 240},
		{0, 255, 0, 144, 54, 34},
		{0, 0, 255, 41, 240, 110},
	} {
		got := vp8.RGBToI420(nil, bytes.Repeat([]byte{c.r, c.g, c.b}, 9), 3, 3)
		want := append(append(bytes.Repeat([]byte{c.y}, 9), bytes.Repeat([]byte{c.u}, 4)...), bytes.Repeat([]byte{c.v}, 4)...)
		for i := range want {
			if d := int(got[i]) - int(want[i]); d < -1 || d > 1 { // fixed point rounds by at most one step
				t.Errorf("rgb(%d,%d,%d): byte %d = %d, want %d", c.r, c.g, c.b, i, got[i], want[i])
			}
		}
		back := vp8test.I420ToRGB(nil, got, 3, 3)
		for i, want := range bytes.Repeat([]byte{c.r, c.g, c.b}, 9) {
			if d := int(back[i]) - int(want); d < -4 || d > 4 { // two roundings of 1/219 and 1/224 steps
				t.Errorf("rgb(%d,%d,%d): back %d, want %d", c.r, c.g, c.b, back[i], want)
			}
		}
	}
	dst := make([]byte, vp8.I420Size(64, 48))
	rgb := make([]byte, 3*64*48)
	if n := testing.AllocsPerRun(10, func() { vp8.RGBToI420(dst, rgb, 64, 48) }); n != 0 {
		t.Errorf("RGBToI420 allocates %v times, want 0", n)
	}
}

func FuzzDecode(f *testing.F) {
	enc, err := vp8.NewEncoder(vp8.DefaultConfig(32, 32))
	if err != nil {
		f.Fatal(err)
	}
	defer enc.Close()
	b, _, err := enc.Encode(make([]byte, vp8.I420Size(32, 32)), 0, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(b))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9 {
			b[7], b[9] = b[7]&1, b[9]&1 // keep the claimed size small: the size field has 14 bits per side
		}
		dec, err := vp8test.NewDecoder()
		if err != nil {
			t.Fatal(err)
		}
		defer dec.Close()
		if p, err := dec.Decode(b); err == nil && len(p.I420) != vp8.I420Size(p.Width, p.Height) {
			t.Errorf("%dx%d has %d bytes", p.Width, p.Height, len(p.I420))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, size := range [][2]int{{640, 360}, {960, 540}, {1280, 720}} {
		b.Run(fmt.Sprintf("size=%dx%d", size[0], size[1]), func(b *testing.B) {
			w, h := size[0], size[1]
			enc, err := vp8.NewEncoder(vp8.DefaultConfig(w, h))
			if err != nil {
				b.Fatal(err)
			}
			defer enc.Close()
			var pics [][]byte
			for i := range 8 {
				pics = append(pics, vp8.RGBToI420(nil, scene(make([]byte, 3*w*h), w, h, i), w, h))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, _, err := enc.Encode(pics[i%8], time.Duration(i)*time.Second/15, false); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

func BenchmarkRGBToI420(b *testing.B) {
	const w, h = 960, 540
	rgb := scene(make([]byte, 3*w*h), w, h, 0)
	dst := make([]byte, vp8.I420Size(w, h))
	b.SetBytes(int64(len(rgb)))
	b.ReportAllocs()
	for b.Loop() {
		vp8.RGBToI420(dst, rgb, w, h)
	}
}
