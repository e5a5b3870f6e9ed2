package preview_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// childVariable makes the test binary a server with few open files; see child.
const childVariable = "OODCAST_PREVIEW_CHILD"

// report is what a child says about itself.
type report struct {
	RSS   int // kB
	Held  int // kB that Go holds, without the shadow memory of the race detector
	Files int // open descriptors
	Fault string
}

// runChild serves one camera, with at most 256 open files, until its standard input ends. For each line there it tries to
// open as many files as evidence may need, and writes a report.
func runChild() error {
	limit := syscall.Rlimit{Cur: 256, Max: 256}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	cfg := testConfig()
	s, err := preview.New(cfg, []schema.Camera{newCamera("front")}, preview.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	fmt.Println(s.URL())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		b, _ := json.Marshal(look())
		fmt.Println(string(b))
	}
	stop()
	return <-done
}

func look() report {
	var r report
	debug.FreeOSMemory() // what is left is held
	var files []*os.File
	for range 32 {
		f, err := os.Open("/dev/null")
		if err != nil {
			r.Fault = err.Error()
			break
		}
		files = append(files, f)
	}
	for _, f := range files {
		_ = f.Close()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.Held = int(m.Sys-m.HeapReleased) / 1024
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		r.Files = len(open)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			r.RSS, _ = strconv.Atoi(strings.Fields(kb)[0])
		}
	}
	return r
}

// child starts a server in a process of its own, and returns its address and how to ask for a report.
func child(t *testing.T) (url string, ask func() report) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	out := bufio.NewReader(pipe)
	url, err = out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(url), func() report {
		t.Helper()
		var r report
		_, err := io.WriteString(in, "\n")
		line, err2 := out.ReadBytes('\n')
		if err != nil || err2 != nil || json.Unmarshal(line, &r) != nil {
			t.Fatalf("report %q: %v, %v", line, err, err2)
		}
		return r
	}
}

// hold opens n connections that have asked once and stay open. It returns how to close those that are still open.
func hold(t *testing.T, url string, n int) (release func()) {
	t.Helper()
	address := strings.Trim(strings.TrimPrefix(url, "http:"), "/")
	var open []net.Conn
	for range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 15)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 200 OK" {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	return func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}
}

// TestTenThousandKeepAlives opens 10,000 connections that are kept open, 500 at a time, against a server that may have 256 files
// open. It answers each of them and everybody else, keeps descriptors for evidence, and does not grow.
func TestTenThousandKeepAlives(t *testing.T) {
	url, ask := child(t)
	for range 2 {
		hold(t, url, 500)() // the pools of the server are filled
	}
	before := ask()
	for range 20 {
		release := hold(t, url, 500)
		if r := ask(); r.Fault != "" || r.Files > 256-64 {
			t.Fatalf("%d files are open: %s", r.Files, r.Fault)
		}
		for _, path := range []string{"", "api/v1/cameras", "readyz"} {
			if r := send(t, "GET", url+path, "", "", nil); r.code != http.StatusOK {
				t.Errorf("GET /%s = %d while connections are held", path, r.code)
			}
		}
		release()
	}
	after := ask()
	t.Logf("before %+v, after %+v", before, after)
	if after.Held > before.Held+2048 { // 1 % of what a service with one camera holds; 10,000 connections would be 180 MB
		t.Errorf("memory grew from %d to %d kB", before.Held, after.Held)
	}
}

// Whoever holds connections of one address, by streams that never end, does not keep other addresses out.
func TestConnectionsOfOneAddress(t *testing.T) {
	cfg := testConfig()
	cfg.Connections.Max, cfg.Connections.PerAddress = 16, 4
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	var streams []io.Closer
	for range 4 {
		r, err := fresh().Get(s.URL() + "api/v1/cameras/front/live")
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Body.Close() })
		streams = append(streams, r.Body)
	}
	if r, err := fresh().Get(s.URL() + "livez"); err == nil {
		_ = r.Body.Close()
		t.Error("a fifth connection of an address is answered")
	}
	if r, err := from("127.0.0.2").Get(s.URL() + "livez"); err != nil {
		t.Errorf("another address: %v", err)
	} else {
		_ = r.Body.Close()
	}
	for _, c := range streams {
		_ = c.Close()
	}
	wait(t, "room for the address", func() bool {
		r, err := fresh().Get(s.URL() + "livez")
		if err == nil {
			_ = r.Body.Close()
		}
		return err == nil
	})
}

// A connection that sends no request makes room, and one that waits for too long is closed.
func TestIdleConnections(t *testing.T) {
	cfg := testConfig()
	cfg.Connections.PerAddress, cfg.Connections.Idle = 4, time.Second
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	address := strings.Trim(strings.TrimPrefix(s.URL(), "http:"), "/")
	var silent []net.Conn
	for range 4 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent = append(silent, conn)
	}
	wait(t, "room for one that asks", func() bool {
		r, err := fresh().Get(s.URL() + "livez")
		if err == nil {
			_ = r.Body.Close()
		}
		return err == nil
	})
	_ = silent[0].SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := silent[0].Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the oldest silent connection: %v", err)
	}
	release := hold(t, s.URL(), 1)
	defer release()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d < 500*time.Millisecond || d > 30*time.Second {
		t.Errorf("an idle connection was closed after %v, want 1s", d)
	}
}
