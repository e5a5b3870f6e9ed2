package main

import (
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest/opencv"
)

// A video whose scoring is interrupted leaves no array that looks whole, and is no success.
func TestScoreInterrupted(t *testing.T) {
	out, temp := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp) // where the array grows
	p := start(t, "score", demoClip(t), "--out", out, "--format", "npy", "--timesteps", "1")
	begun := func() bool {
		unfinished, err := filepath.Glob(filepath.Join(temp, ".vtest_scores.npy*"))
		return err == nil && len(unfinished) > 0
	}
	for deadline := time.Now().Add(60 * time.Second); !begun(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no array is being written")
		}
	}
	code, _ := p.stop(t, syscall.SIGTERM)
	if code != exitFailed || !strings.Contains(p.stderr.String(), "interrupted") {
		t.Errorf("exit code %d, %q", code, p.stderr.String())
	}
	for _, dir := range []string{out, temp} {
		if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
			t.Errorf("left %v, %v", files, err)
		}
	}
}

// square writes a small grey picture.
func square(t *testing.T, path string) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = uint8(100 + i%7)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func folderNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// An input that cannot be read, whatever is wrong with it, costs its own result only: it is named and counted.
func TestScoreGoesOn(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	for _, good := range []string{"a.png", "z.png"} {
		square(t, filepath.Join(dir, good))
	}
	write(t, filepath.Join(dir, "html.jpg"), "<html>not found</html>")
	write(t, filepath.Join(dir, "empty.png"), "")
	folder := t.TempDir()
	for name, to := range map[string]string{"dangling.jpg": "nothing", "folder.jpg": folder, "loop.png": "loop.png"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	film := write(t, filepath.Join(t.TempDir(), "film.mp4"), "no film")
	last := filepath.Join(t.TempDir(), "last.png")
	square(t, last)
	code, stdout, stderr := oodcast(t, "score", dir, film, last, "--out", out, "--format", "json", "--timesteps", "1", "--size", "64x64")
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	end := lines[len(lines)-1]
	if len(lines) != 7 || !strings.Contains(end, "6 of 9 inputs could not be scored") {
		t.Errorf("stderr %q", stderr)
	}
	for _, bad := range []string{"html.jpg", "empty.png", "dangling.jpg", "folder.jpg", "loop.png", "film.mp4"} {
		if strings.Count(stderr, bad) < 2 || !strings.Contains(end, bad) {
			t.Errorf("%s is not named: %q", bad, stderr)
		}
	}
	if n := strings.Count(stdout, ": 1 frame"); n != 3 {
		t.Errorf("%d summaries: %q", n, stdout)
	}
	if got, want := folderNames(t, out), []string{"a_scores.json", "last_scores.json", "z_scores.json"}; !slices.Equal(got, want) {
		t.Errorf("wrote %q, want %q", got, want)
	}

	alone := t.TempDir()
	if err := os.Symlink("nothing", filepath.Join(alone, "dangling.jpg")); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := oodcast(t, "score", alone, "--out", out); code != exitFailed || !strings.Contains(stderr, "dangling.jpg") {
		t.Errorf("a dangling link alone: exit code %d, %q", code, stderr)
	}
}

// run and fit go on without the pictures of a folder that cannot be read, name them, and end with exit code 1.
func TestPicturesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	random := rand.NewChaCha8([32]byte{})
	for i := range 12 {
		pix := make([]byte, 3*64*64)
		_, _ = random.Read(pix)
		if err := opencv.WriteImage(filepath.Join(dir, fmt.Sprintf("%d.png", i)), 64, 64, pix); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "html.jpg"), "<html>not found</html>")
	write(t, filepath.Join(dir, "phone.heic"), "\x00\x00\x00\x20ftypheic\x00\x00\x00\x00mif1heic        ")
	bundle := filepath.Join(t.TempDir(), "bundle")
	for _, args := range [][]string{
		{"run", "--source", dir, "--exit-on-end", "--http", "off", "--nats", "off"},
		{"fit", "--source", dir, "--out", bundle, "--steps", "20", "--size", "256x128"},
	} {
		code, _, stderr := oodcast(t, args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if end := lines[len(lines)-1]; code != exitFailed || !strings.Contains(end, "2 pictures were left out") {
			t.Errorf("%s: exit code %d, %q", args[0], code, end)
		}
		for _, bad := range []string{"html.jpg", "phone.heic"} {
			if !strings.Contains(stderr, bad) {
				t.Errorf("%s: %s is not named: %q", args[0], bad, stderr)
			}
		}
	}
	must(t, "models", "verify", bundle)
}

// Results beside their inputs are no inputs of the next run, whether the folder or its files are named.
func TestScoreIntoItsInput(t *testing.T) {
	dir := t.TempDir()
	square(t, filepath.Join(dir, "a.png"))
	square(t, filepath.Join(dir, "lone_map.png")) // a picture that only has such a name
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) []string {
		t.Helper()
		must(t, append([]string{"score", "--timesteps", "1", "--size", "64x64"}, args...)...)
		return folderNames(t, dir)
	}
	first := run(dir, "--out", dir)
	if len(first) != 10 {
		t.Fatalf("first run: %q", first)
	}
	for i, again := range [][]string{{dir, "--out", dir}, {dir, "--out", link}, {link, "--out", dir}} {
		if got := run(again...); !slices.Equal(got, first) {
			t.Errorf("run %d: %q, want %q", i+2, got, first)
		}
	}
	pictures, err := filepath.Glob(filepath.Join(dir, "*.[pj][np]g"))
	if err != nil {
		t.Fatal(err)
	}
	if got := run(append(pictures, "--out", dir)...); !slices.Equal(got, first) {
		t.Errorf("files: %q, want %q", got, first)
	}
}

// A disk that is full ends the work with exit code 1, and nothing that it leaves looks whole.
func TestScoreDiskFull(t *testing.T) {
	for _, format := range []string{"overlay", "npy"} {
		out := t.TempDir()
		full := command(t, "score", demoClip(t), "--out", out, "--format", format, "--timesteps", "1", "--size", "64x64")
		full.Args = append([]string{"sh", "-c", "ulimit -f 40; exec \"$0\" \"$@\"", full.Path}, full.Args[1:]...) // 20 kB
		full.Path = "/bin/sh"
		var stderr strings.Builder
		full.Stderr = &stderr
		err := full.Run()
		if full.ProcessState.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "vtest_") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: %v, %q", format, err, stderr.String())
		}
		if left := folderNames(t, out); len(left) > 0 {
			t.Errorf("%s: left %q", format, left)
		}
	}
}
