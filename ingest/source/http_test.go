package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
)

// jpegOf returns picture i of the bars as a JPEG file.
func jpegOf(t *testing.T, i int) []byte {
	t.Helper()
	f := ingest.NewFrame(320, 240)
	ingesttest.Bars(f.Pix, f.Width, f.Height, i)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, ingest.FrameImage(f), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serve answers with parts, one after the other, until the client goes. It does not name a content type that is "".
func serve(t *testing.T, contentType string, part func(i int) []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header()["Content-Type"] = nil
		if contentType != "" {
			rw.Header().Set("Content-Type", contentType)
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; r.Context().Err() == nil; i++ {
			if _, err := rw.Write(part(i)); err != nil || http.NewResponseController(rw).Flush() != nil {
				return
			}
			<-tick.C
		}
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return srv.URL
}

// Cameras frame their JPEG pictures in many wrong ways, and all of them are read over one connection, each picture whole.
func TestMJPEGFraming(t *testing.T) {
	t.Parallel()
	const parts = "multipart/x-mixed-replace; boundary=frame"
	var pictures [][]byte
	for i := range 5 {
		pictures = append(pictures, jpegOf(t, 10*i))
	}
	at := func(i int) []byte { return pictures[i%len(pictures)] }
	thumbnail := append([]byte("Exif\x00\x00"), 0xFF, 0xD8, 0xFF, 0xDB, 0xFF, 0xD9)
	head := func(i int, boundary, kind, end string, wrong int) string {
		return boundary + end + "Content-Type: " + kind + end + fmt.Sprint("Content-Length: ", len(at(i))+wrong, end, end)
	}
	for name, tt := range map[string]struct {
		contentType string
		part        func(i int) []byte
	}{
		"right": {parts, func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpeg", "\r\n", 0)), at(i)...) }},
		"no first boundary": {parts, func(i int) []byte {
			return slices.Concat([]byte(head(i, "", "image/jpeg", "\r\n", 0)[2:]), at(i), []byte("\r\n--frame\r\n"))
		}},
		"no dashes":          {parts, func(i int) []byte { return append([]byte(head(i, "frame", "image/jpeg", "\r\n", 0)), at(i)...) }},
		"image/jpg":          {parts, func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpg", "\r\n", 0)), at(i)...) }},
		"length too large":   {parts, func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpeg", "\r\n", 17)), at(i)...) }},
		"length too small":   {parts, func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpeg", "\r\n", -17)), at(i)...) }},
		"line feeds":         {parts, func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpeg", "\n", 0)), at(i)...) }},
		"other boundary":     {parts, func(i int) []byte { return append([]byte(head(i, "--other", "image/jpeg", "\r\n", 0)), at(i)...) }},
		"no boundary at all": {"multipart/x-mixed-replace", at},
		"upper case":         {"Multipart/X-Mixed-Replace;Boundary=frame", at},
		"pictures alone":     {"image/jpeg", at},
		"motion JPEG":        {"video/x-motion-jpeg", at},
		"bytes":              {"application/octet-stream", at},
		"no type, parts":     {"", func(i int) []byte { return append([]byte(head(i, "--frame", "image/jpeg", "\r\n", 0)), at(i)...) }},
		"no type, pictures":  {"", at},
		"thumbnails": {parts, func(i int) []byte {
			return slices.Insert(bytes.Clone(at(i)), 2, append([]byte{0xFF, 0xE1, 0, byte(len(thumbnail) + 2)}, thumbnail...)...)
		}},
		"every other cut":     {parts, func(i int) []byte { return append(slices.Clone(at(2*i)), at(2*i + 1)[:len(at(2*i+1))/2]...) }},
		"no end of a picture": {parts, func(i int) []byte { return append([]byte("--frame\r\n\r\n"), at(i)[:len(at(i))-2]...) }},
		"noise between":       {parts, func(i int) []byte { return append(bytes.Repeat([]byte{0xFF, 0xD8, 0x00, 0xFF}, 1000), at(i)...) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := streamConfig(serve(t, tt.contentType, tt.part))
			cfg.ReadTimeout = 5 * time.Second
			got, stats, err := collect(t, cfg, 10)
			if err != nil || len(got) != 10 || stats.Opens != 1 {
				t.Fatalf("%d pictures, %v, %+v", len(got), err, stats)
			}
			for i, f := range got {
				if f.w != 320 || f.h != 240 || f.mean[0] < 100 || f.mean[1] < 100 || f.mean[2] > 110 {
					t.Errorf("picture %d: %dx%d, mean %v: not the bars", i, f.w, f.h, f.mean)
				}
			}
		})
	}
}

// What never becomes a picture takes no memory and ends in an error.
func TestMJPEGWithoutPictures(t *testing.T) {
	t.Parallel()
	noise := bytes.Repeat([]byte{0xFF, 0xD8, 0xFF, 0xE0, 0xFF, 0xFF, 0}, 1<<18)
	_, _, err := collect(t, streamConfig(serve(t, "multipart/x-mixed-replace", func(int) []byte { return noise })), 0)
	if !errors.Is(err, ingest.ErrDisconnected) || !strings.Contains(err.Error(), "no JPEG picture") {
		t.Errorf("Run() = %v", err)
	}
}

// A picture is no stream, and the error says so.
func TestSnapshotOverHTTP(t *testing.T) {
	picture := jpegOf(t, 0)
	for name, length := range map[string]bool{"with its length": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "image/jpeg")
				if length {
					rw.Header().Set("Content-Length", fmt.Sprint(len(picture)))
				}
				_, _ = rw.Write(picture[:100])
				_ = http.NewResponseController(rw).Flush()
				_, _ = rw.Write(picture[100:])
			}))
			t.Cleanup(srv.Close)
			_, _, err := collect(t, streamConfig(srv.URL+"/snap.jpg"), 0)
			if err == nil || !strings.Contains(err.Error(), "it is a single picture") || ingest.Permanent(err) {
				t.Errorf("Run() = %v", err)
			}
		})
	}
}

// A film over HTTP has an end, as a file has, and is played at its own speed.
func TestFilmOverHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	film := clip(t, "matroska", "libx264", "-bf", "2")
	if err := os.WriteFile(filepath.Join(dir, "film.mkv"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-v", "error", "-i", filepath.Join(dir, "film.mkv"), "-c", "copy"}
	for _, out := range [][]string{{"-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "film.m3u8"}, {"film.mp4"}} {
		cmd := exec.CommandContext(t.Context(), "ffmpeg", append(args, out...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(srv.Close)
	for _, name := range []string{"film.mkv", "film.mp4", "film.m3u8"} {
		t.Run(name, func(t *testing.T) {
			cfg := streamConfig(srv.URL + "/" + name)
			cfg.OpenTimeout, cfg.ReadTimeout = 30*time.Second, 10*time.Second
			got, stats, err := collect(t, cfg, 0)
			if err != nil || len(got) != 20 || stats.Opens != 1 {
				t.Fatalf("%d pictures, %v, %+v, want 20", len(got), err, stats)
			}
			for i, f := range got {
				if want := time.Duration(i) * 100 * time.Millisecond; (f.pts - want).Abs() > 5*time.Millisecond {
					t.Errorf("picture %d is at %v, want %v", i, f.pts, want)
				}
			}
			if took := got[19].captured.Sub(got[0].captured); took < 1500*time.Millisecond {
				t.Errorf("played within %v, want 1.9s", took)
			}
		})
	}
}

// A camera that refuses TCP is asked for UDP.
func TestRTSPOverUDP(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{UDP: true})
	cfg := streamConfig(server.URL())
	cfg.OpenTimeout, cfg.ReadTimeout = 20*time.Second, 10*time.Second
	got, stats, err := collect(t, cfg, 10)
	if err != nil || len(got) != 10 || stats.Opens != 1 {
		t.Errorf("%d pictures, %v, %+v", len(got), err, stats)
	}
}

// stall over UDP is noticed like one over TCP.
func TestRTSPOverUDPStalls(t *testing.T) {
	t.Parallel()
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{UDP: true, Codec: "H264"})
	freezes(t, server.URL(), "", func() { server.SetFault(ingesttest.Stall) })
}

// An error for a file gives FFmpeg's reason, or says what the file is.
func TestFilmErrorsGiveTheReason(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) {
		if out, err := exec.CommandContext(t.Context(), "ffmpeg", append([]string{"-v", "error"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run("-f", "lavfi", "-i", "sine=duration=1", filepath.Join(dir, "sound.mp4"))
	run("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-frames:v", "20", filepath.Join(dir, "film.mp4"))
	film, err := os.ReadFile(filepath.Join(dir, "film.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	write("cut.mp4", film[:len(film)/2])
	write("empty.mp4", nil)
	write("page.mp4", []byte("<html>404</html>"))
	write("phone.heic", []byte("\x00\x00\x00\x20ftypheic\x00\x00\x00\x00mif1heic        "))
	if err := os.Mkdir(filepath.Join(dir, "phone"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("phone/1.heic", []byte("\x00\x00\x00\x20ftypheic\x00\x00\x00\x00mif1heic        "))
	run("-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-frames:v", "1", "-c:v", "libaom-av1", "-still-picture", "1", filepath.Join(dir, "still.avif"))
	for name, has := range map[string]string{
		"sound.mp4": "it has no video track", "cut.mp4": "moov atom not found", "page.mp4": "Invalid data found",
		"phone.heic": "it is a HEIC picture", "still.avif": "it is an AVIF picture", "phone": "1.heic is a HEIC picture", "empty.mp4": "the file is empty",
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := collect(t, config(filepath.Join(dir, name)), 0)
			if !errors.Is(err, ingest.ErrUnreadable) || !strings.Contains(err.Error(), has) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Run() = %v, want %q", err, has)
			}
		})
	}
}
