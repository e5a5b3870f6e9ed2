package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// slowBundle returns a bundle whose session takes minutes to create, because ONNX Runtime computes what is constant.
func slowBundle(t *testing.T) string {
	t.Helper()
	dir := copyBundle(t)
	b, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if files[name], err = b.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	encoder, err := graph.Parse(files[models.EncoderFile])
	if err != nil {
		t.Fatal(err)
	}
	g := graph.New(graph.Float32)
	const n = 3000
	x := g.Node("ConstantOfShape", []*graph.Tensor{g.Int64s(n, n)}, []int64{n, n}, graph.Float32)
	y := x
	for range 400 {
		y = g.Node("MatMul", []*graph.Tensor{y, x}, []int64{n, n}, graph.Float32)
	}
	g.Output(y, "slow")
	raw, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	slow, err := graph.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := graph.Merge(encoder, slow, nil)
	if err != nil {
		t.Fatal(err)
	}
	files[models.EncoderFile] = merged.Marshal()
	if err := models.Write(dir+"-slow", b.Manifest, files); err != nil {
		t.Fatal(err)
	}
	return dir + "-slow"
}

// A signal ends a verb that waits for ONNX Runtime, or for a file that never comes, within three seconds.
func TestSignalWhileStarting(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "libonnxruntime.so.1")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	slow, clip := slowBundle(t), demoClip(t)
	labelled := t.TempDir()
	picturesOf(t, labelled, 1, true)
	quiet := []string{"--http", "127.0.0.1:0", "--nats", "off"}
	for _, tt := range []struct {
		name    string
		library string
		args    []string
		code    int
	}{
		{"run, session", "", append([]string{"run", "--source", clip, "--bundle", slow}, quiet...), exitDone},
		{"run, library", fifo, append([]string{"run", "--source", clip}, quiet...), exitDone},
		{"run, configuration", "", append([]string{"run", "--config", fifo}, quiet...), exitDone},
		{"score, session", "", []string{"score", "--bundle", slow, "--out", t.TempDir(), clip}, exitFailed},
		{"doctor, library", fifo, []string{"doctor"}, exitFailed},
		{"verify, session", "", []string{"models", "verify", slow}, exitFailed},
		{"bench, session", "", []string{"bench", "--bundle", slow}, exitFailed},
		{"fit, session", "", []string{"fit", "--bundle", slow, "--source", clip, "--out", t.TempDir() + "/fit"}, exitFailed},
		{"eval, session", "", []string{
			"eval", "--bundle", slow, "--dataset", "folder", "--root", labelled,
		}, exitFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.library != "" {
				t.Setenv(ort.EnvLibrary, tt.library)
			}
			p := start(t, tt.args...)
			select {
			case <-p.done:
				t.Fatalf("oodcast ended before the signal: %s", p.stderr.String())
			case <-time.After(1500 * time.Millisecond):
			}
			code, took := p.stop(t, syscall.SIGTERM)
			if code != tt.code || took > 3*time.Second {
				t.Errorf("exit code %d after %v, want %d within 3 s", code, took, tt.code)
			}
		})
	}
}

// A reload that waits for ONNX Runtime, for a file of a bundle or for the configuration does not delay the end either.
func TestSignalDuringAReload(t *testing.T) {
	slow, stuck := slowBundle(t), copyBundle(t)
	for _, pipe := range []string{filepath.Join(stuck, models.DenoiserFile)} {
		if err := errors.Join(os.Remove(pipe), syscall.Mkfifo(pipe, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ name, bundle string }{{"session", slow}, {"file of a bundle", stuck}, {"configuration", ""}} {
		t.Run(tt.name, func(t *testing.T) {
			site := write(t, filepath.Join(t.TempDir(), "site.yaml"), "")
			body := "preview: {listen: \"127.0.0.1:0\"}\npublish: {url: \"off\"}\ncameras:\n- {name: front, uri: " + demoClip(t) +
				", realtime: true, loop: true"
			write(t, site, body+"}\n")
			p := start(t, "run", "--config", site)
			p.find(t, "page")
			if tt.bundle == "" {
				if err := errors.Join(os.Remove(site), syscall.Mkfifo(site, 0o600), p.cmd.Process.Signal(syscall.SIGHUP)); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, site, body+", bundle: "+tt.bundle+"}\n")
			}
			select { // the file is read after 300 ms; were this too short, the test would try less, but not fail
			case <-p.done:
				t.Fatal("oodcast ended before the signal")
			case <-time.After(3 * time.Second):
			}
			if code, took := p.stop(t, syscall.SIGTERM); code != exitDone || took > 3*time.Second {
				t.Errorf("exit code %d after %v, want %d within 3 s", code, took, exitDone)
			}
		})
	}
}
