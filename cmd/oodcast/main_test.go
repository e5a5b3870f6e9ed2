package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/models"
)

// envMain makes the test binary behave as oodcast, so that tests can run the real program in separate processes with exit
// codes, signals and kill -9.
const envMain = "OODCAST_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
	}
	bundles, err := installEmbedded()
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(bundles)
	os.Exit(code)
}

// installEmbedded makes the small bundle that is in the program the default one: what is installed on this machine must not
// change what the tests measure.
func installEmbedded() (folder string, err error) {
	source, err := filepath.Abs(filepath.Join("..", "..", "models", "bundles", models.Embedded))
	if err == nil {
		folder, err = os.MkdirTemp("", "oodcast-bundles-*")
	}
	if err == nil {
		err = os.Symlink(source, filepath.Join(folder, models.Default))
	}
	if err == nil {
		err = os.Setenv(models.EnvFolders, folder)
	}
	return folder, err
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), envMain+"=1")
	cmd.Dir = t.TempDir() // the library and the bundle must be found from any directory
	return cmd
}

// oodcast runs a verb and returns its exit code and output.
func oodcast(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := command(t, args...)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil {
		var exit *exec.ExitError
		if !errors.As(e, &exit) {
			t.Fatal(e)
		}
		return exit.ExitCode(), out.String(), err.String()
	}
	return 0, out.String(), err.String()
}

// must runs a verb that has to succeed, and returns its standard output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := oodcast(t, args...)
	if code != exitDone {
		t.Fatalf("oodcast %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// process is a running oodcast.
type process struct {
	cmd    *exec.Cmd
	done   chan struct{}
	stderr lockedBuffer
	mu     sync.Mutex
	lines  []string
	news   chan struct{}
}

// lockedBuffer may be read while the process still writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a verb in the background. The process is killed at the end of the test if it is still running.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	return launch(t, command(t, args...))
}

// launch starts a command that runs oodcast.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{}), news: make(chan struct{}, 1)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(out)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if strings.Contains(p.stderr.String(), "DATA RACE") { // in builds with -race
			t.Error("oodcast has a data race")
		}
		if t.Failed() {
			t.Logf("oodcast %s\n%s\n%s", strings.Join(cmd.Args[1:], " "), strings.Join(p.lines, "\n"), p.stderr.String())
		}
	})
	return p
}

func (p *process) read(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, s.Text())
		p.mu.Unlock()
		select {
		case p.news <- struct{}{}:
		default:
		}
	}
	_ = p.cmd.Wait()
	close(p.done)
}

// find waits for a line that contains sub and returns the text after it.
func (p *process) find(t *testing.T, sub string) string {
	t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		p.mu.Lock()
		for _, l := range p.lines {
			if _, rest, ok := strings.Cut(l, sub); ok {
				p.mu.Unlock()
				return strings.TrimSpace(rest)
			}
		}
		p.mu.Unlock()
		select {
		case <-p.news:
		case <-p.done:
			t.Fatalf("oodcast ended before it printed %q", sub)
		case <-deadline:
			t.Fatalf("oodcast did not print %q within 60 s", sub)
		}
	}
}

// stop sends a signal and returns the exit code and the time until the process ended.
func (p *process) stop(t *testing.T, sig os.Signal) (code int, took time.Duration) {
	t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		t.Fatal("oodcast did not stop within 60 s")
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begin)
}

// demoClip returns the path of Debian's vtest.avi: a fixed camera over a pavement, 768×576, 10 frames per second, 795 frames.
func demoClip(t *testing.T) string {
	t.Helper()
	for _, path := range []string{
		os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi",
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return ""
}
