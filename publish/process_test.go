package publish_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// helper is the environment variable that turns the test binary into one of the programs below.
const helper = "OODCAST_PUBLISH_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helper) {
	case "server":
		exit(serverProcess(os.Args[1:]))
	case "publisher":
		exit(publisherProcess(os.Args[1:]))
	}
	goleak.VerifyTestMain(m,
		// The server's stores share one clock per process, and the last store to close does not wait for it.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serverProcess is a nats-server with JetStream and the arguments PORT DIR. It prints its address and runs until its input ends.
func serverProcess(args []string) error {
	port, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: args[1], NoSigs: true, NoLog: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		return fmt.Errorf("nats-server is not ready")
	}
	fmt.Println(s.ClientURL())
	_, err = io.Copy(io.Discard, os.Stdin)
	stopServer(s)
	return err
}

// maxEvents is the largest number of events that publisherProcess hands over.
const maxEvents = 2000

// publisherProcess is a publisher with the camera "front" and the arguments URL STATEDIR ID. It hands over revisions of the event
// ID from 1, prints each accepted revision, and runs until its input ends or it is killed.
func publisherProcess(args []string) error {
	cfg := publish.DefaultConfig()
	cfg.URL, cfg.StateDir, cfg.StatusInterval = args[0], args[1], time.Second
	p, err := publish.New(cfg, []schema.Camera{newCamera("front")}, publish.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for n := 1; n <= maxEvents && ctx.Err() == nil; n++ {
		p.Event(event(args[2], n))
		fmt.Println(n)
	}
	return <-done
}

// process is a running helper.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	stdin io.Closer
}

// launch runs a helper until the test ends.
func launch(t *testing.T, name string, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), helper+"="+name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, lines: bufio.NewScanner(out), stdin: in}
	t.Cleanup(func() { p.kill() })
	return p
}

// line returns the next line that the helper prints, or "" after its end.
func (p *process) line() string {
	if !p.lines.Scan() {
		return ""
	}
	return strings.TrimSpace(p.lines.Text())
}

// kill sends SIGKILL and returns the last unread line of the helper, or "" if there is none.
func (p *process) kill() (last string) {
	_ = p.cmd.Process.Kill() // it may have ended
	for l := p.line(); l != ""; l = p.line() {
		last = l
	}
	_ = p.cmd.Wait()
	return last
}

// launchServer runs a nats-server in a separate process and returns its address.
func launchServer(t *testing.T, port int, dir string) (*process, string) {
	t.Helper()
	p := launch(t, "server", strconv.Itoa(port), dir)
	url := p.line()
	if url == "" {
		t.Fatal("the server did not start")
	}
	return p, url
}

// run starts a publisher with one camera and returns a function that ends it.
func run(t *testing.T, cfg publish.Config, cam schema.Camera) (end func()) {
	t.Helper()
	p, err := publish.New(cfg, []schema.Camera{cam}, publish.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	<-p.Ready()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	t.Cleanup(end)
	return end
}
