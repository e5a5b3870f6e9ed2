package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// configMap is a folder in the form in which Kubernetes mounts a ConfigMap: run.yaml → ..data/run.yaml, ..data → the newest
// version.
type configMap struct {
	t       *testing.T
	dir     string
	version int
}

func (m *configMap) file() string { return filepath.Join(m.dir, "run.yaml") }

// swap installs a new version by replacing the link ..data atomically; nothing else in the folder changes.
func (m *configMap) swap(config string) {
	m.t.Helper()
	m.version++
	version, next := fmt.Sprintf("..%d", m.version), filepath.Join(m.dir, "..data_tmp")
	if err := os.Mkdir(filepath.Join(m.dir, version), 0o700); err != nil {
		m.t.Fatal(err)
	}
	write(m.t, filepath.Join(m.dir, version, "run.yaml"), config)
	if err := os.Symlink(version, next); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
}

// The service follows a ConfigMap: one swap, two swaps in quick succession, a swap while another program writes to the folder
// all the time, and an invalid version, which is logged once however often it is installed.
func TestReloadConfigMap(t *testing.T) {
	state, clip := t.TempDir(), demoClip(t)
	config := func(timesteps int) string {
		return fmt.Sprintf(reloadHead, state, "10s", timesteps, "1s", "", "1h") +
			fmt.Sprintf("- {name: yard, uri: %q, realtime: true, loop: true, max_fps: 5}\n", clip)
	}
	m := &configMap{t: t, dir: t.TempDir()}
	m.swap(config(2))
	if err := os.Symlink(filepath.Join("..data", "run.yaml"), m.file()); err != nil {
		t.Fatal(err)
	}
	r := &reloadable{t: t, path: m.file()}
	r.p = start(t, "run", "--config", m.file())
	r.page = r.p.find(t, "page ")
	used := func(n int) {
		t.Helper()
		r.until(fmt.Sprintf("|T|=%d", n), func(now map[string]schema.Status) bool { return now["yard"].TimestepsUsed == n })
	}
	used(2)
	m.swap(config(3))
	used(3)
	m.swap(config(5))
	m.swap(config(4))
	used(4)

	ctx, quiet := context.WithCancel(t.Context())
	var noise sync.WaitGroup
	noise.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			_ = os.WriteFile(filepath.Join(m.dir, "other.log"), []byte(time.Now().String()), 0o600) // errors do not matter here
		}
	})
	m.swap(config(1))
	used(1)
	quiet()
	noise.Wait()

	for range 2 {
		m.swap("detectr: {}\n" + config(6))
		r.until("the reason", func(now map[string]schema.Status) bool { return now["yard"].ConfigFault != "" })
	}
	used(1)
	m.swap(config(7))
	used(7)
	if n := strings.Count(r.p.stderr.String(), "the new configuration is invalid"); n != 1 {
		t.Errorf("%d lines about the invalid file, want 1", n)
	}
	if code, _ := r.p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// A changed file also takes effect while NATS is unreachable and a camera is down. When NATS returns, exactly the cameras of
// the new file answer.
func TestReloadWhileAway(t *testing.T) {
	opts := natsOptions(t)
	first := startNATS(t, opts)
	url := first.ClientURL()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("publish: {url: %q, state_dir: %q}\npreview: {listen: \"127.0.0.1:0\"}\n", url, t.TempDir()) +
		"detector: {timesteps: 1, width: 256, height: 128}\ncameras:\n"
	playing := func(name string) string {
		return fmt.Sprintf("- {name: %s, uri: %q, realtime: true, loop: true, max_fps: 5}\n", name, demoClip(t))
	}
	r := startReloadable(t, head+playing("goes")+"- {name: mended, uri: \"rtsp://127.0.0.1:1/none\"}\n")
	r.until("one camera that plays and one that is down", func(now map[string]schema.Status) bool {
		return now["goes"].Stats.Scored > 0 && now["mended"].State == schema.StateDown
	})
	first.Shutdown()
	first.WaitForShutdown()
	r.replace(head + playing("mended") + playing("comes"))
	r.until("the cameras of the new file", func(now map[string]schema.Status) bool {
		return len(now) == 2 && now["mended"].Stats.Scored > 0 && now["comes"].Stats.Scored > 0
	})
	startNATS(t, opts)
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := client.New(nc)
	for _, name := range []string{"mended", "comes"} {
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if st, err := c.Get(t.Context(), name); err == nil && st.Camera == name {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("camera %s does not answer on NATS: %v", name, err)
			}
		}
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if st, err := c.Get(t.Context(), "goes"); errors.Is(err, nats.ErrNoResponders) {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("a removed camera still answers: %+v, %v", st, err)
		}
	}
	if code, _ := r.p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
