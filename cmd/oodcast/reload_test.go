package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// reloadable is a running oodcast whose configuration file changes.
type reloadable struct {
	t          *testing.T
	p          *process
	path, page string
}

const reloadHead = `
publish: {url: "embedded://127.0.0.1:0", state_dir: %q, status_interval: %s}
preview: {listen: "127.0.0.1:0"}
detector: {timesteps: %d, width: 256, height: 128}
events: {hold: %s}
archive: {dir: %q, max_age: %s}
cameras:
`

func startReloadable(t *testing.T, config string) *reloadable {
	t.Helper()
	r := &reloadable{t: t, path: write(t, filepath.Join(t.TempDir(), "run.yaml"), config)}
	r.p = start(t, "run", "--config", r.path)
	r.page = r.p.find(t, "page ")
	return r
}

// replace replaces the file by renaming a new one, as editors do.
func (r *reloadable) replace(config string) {
	r.t.Helper()
	next := write(r.t, r.path+".new", config)
	if err := os.Rename(next, r.path); err != nil {
		r.t.Fatal(err)
	}
}

// until waits until the status of the cameras satisfies ok.
func (r *reloadable) until(what string, ok func(map[string]schema.Status) bool) map[string]schema.Status {
	r.t.Helper()
	var now map[string]schema.Status
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		now = map[string]schema.Status{}
		for _, c := range cameraList(r.t, r.page) {
			now[c.Camera] = c
		}
		if ok(now) {
			return now
		}
		select {
		case <-r.p.done:
			r.t.Fatalf("oodcast ended before %s", what)
		default:
		}
	}
	r.t.Fatalf("timed out waiting for %s: %+v", what, now)
	return nil
}

// A changed file takes effect camera by camera: unchanged cameras are not disturbed. An invalid file changes nothing and is
// reported everywhere. Keys that need a restart are named in the log.
func TestReload(t *testing.T) {
	state, clip := t.TempDir(), demoClip(t)
	entry := func(name, rest string) string {
		return fmt.Sprintf("- {name: %s, uri: %q, realtime: true, loop: true, max_fps: 5%s}\n", name, clip, rest)
	}
	head := func(timesteps int, hold, interval string) string {
		return fmt.Sprintf(reloadHead, state, interval, timesteps, hold, filepath.Join(state, interval), interval[:2]+"m")
	}
	r := startReloadable(t, head(2, "1s", "10s")+entry("stays", "")+entry("changes", "")+entry("goes", ""))
	scored := func(names ...string) func(map[string]schema.Status) bool {
		return func(now map[string]schema.Status) bool {
			for _, n := range names {
				if now[n].Stats.Scored == 0 {
					return false
				}
			}
			return len(now) == len(names)
		}
	}
	before := r.until("three cameras", scored("stays", "changes", "goes"))

	// One file with every kind of change: added, removed, restarted and adjusted cameras, and keys that need a restart.
	r.replace(head(3, "2s", "20s") + entry("stays", "") + entry("changes", ", width: 384, height: 288") +
		entry("comes", ", detector: {timesteps: 1}"))
	after := r.until("the other three", func(now map[string]schema.Status) bool {
		return scored("stays", "changes", "comes")(now) && now["stays"].TimestepsUsed == 3 && now["changes"].Width == 384
	})
	if !after["stays"].Since.Equal(before["stays"].Since) || after["stays"].Stats.Captured < before["stays"].Stats.Captured {
		t.Errorf("the unchanged camera was disturbed: %+v, before %+v", after["stays"], before["stays"])
	}
	if !after["changes"].Since.After(before["changes"].Since) || after["comes"].Timesteps.N != 1 {
		t.Errorf("changes %+v, comes %+v", after["changes"], after["comes"])
	}
	log := r.p.stderr.String()
	if !strings.Contains(log, "publish.status_interval, archive.dir") || strings.Contains(log, "preview.listen") {
		t.Errorf("the log does not name exactly the keys that need a restart:\n%s", log)
	}
	if !strings.Contains(log, "archive=adjusted") || strings.Contains(log, "archive.max_age") {
		t.Errorf("the log does not report that the archive was adjusted:\n%s", log)
	}

	// An invalid file changes nothing, and the reason is in the status, the metrics and the log.
	r.replace("detectr: {timesteps: 9}\n" + head(4, "1s", "10s") + entry("stays", "") + entry("stays", ""))
	wrong := r.until("the reason", func(now map[string]schema.Status) bool { return now["stays"].ConfigFault != "" })
	for _, part := range []string{"detectr: unknown key, did you mean detector?", `cameras[1].name: got "stays" twice`} {
		if !strings.Contains(wrong["stays"].ConfigFault, part) {
			t.Errorf("fault %q does not name %q", wrong["stays"].ConfigFault, part)
		}
	}
	if !scored("stays", "changes", "comes")(wrong) || wrong["stays"].Timesteps.N != 3 {
		t.Errorf("an invalid file changed the cameras: %+v", wrong)
	}
	if m := scrape(t, r.page); m["oodcast_config_last_reload_successful"] != 0 || m["oodcast_config_reloads_total"] < 2 {
		t.Errorf("metrics %v of %v", m["oodcast_config_last_reload_successful"], m["oodcast_config_reloads_total"])
	}

	// A file with a bundle that cannot be opened is rejected as a whole. A valid file clears the fault.
	r.replace(head(4, "1s", "10s") + entry("stays", ", bundle: /none"))
	r.until("the missing bundle", func(now map[string]schema.Status) bool {
		return len(now) == 3 && strings.Contains(now["stays"].ConfigFault, "/none")
	})
	r.replace(head(4, "1s", "10s") + entry("stays", ""))
	r.until("one camera", func(now map[string]schema.Status) bool {
		return len(now) == 1 && now["stays"].ConfigFault == "" && now["stays"].TimestepsUsed == 4
	})
	if m := scrape(t, r.page); m["oodcast_config_last_reload_successful"] != 1 {
		t.Error("the metric still reports an invalid file")
	}
	if code, _ := r.p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// SIGHUP reads the file again. A setting that was changed by hand stays unless its key in the file has changed.
func TestReloadOnSignal(t *testing.T) {
	config := fmt.Sprintf(reloadHead, t.TempDir(), "10s", 2, "1s", "", "1h") +
		fmt.Sprintf("- {name: yard, uri: %q, realtime: true, loop: true, max_fps: 5}\n", demoClip(t))
	r := startReloadable(t, config)
	used := func(n int) func(map[string]schema.Status) bool {
		return func(now map[string]schema.Status) bool { return now["yard"].TimestepsUsed == n }
	}
	r.until("a map", used(2))
	patch(t, r.page+"api/v1/cameras/yard", `{"timesteps": 4}`)
	r.until("the knob", used(4))
	for i := range 2 {
		if err := r.p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); scrape(t, r.page)["oodcast_config_reloads_total"] < float64(i+1); {
			if time.Now().After(deadline) {
				t.Fatal("SIGHUP did not reload the configuration")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if now := r.until("a map", used(4)); now["yard"].Timesteps.N != 4 {
		t.Errorf("reading the same file again changed the setting: %+v", now["yard"].Timesteps)
	}
	r.replace(strings.Replace(config, "timesteps: 2", "timesteps: 3", 1))
	r.until("the value in the file", used(3))
}

// Batching can be switched on and off while cameras run, without disturbing them.
func TestReloadOfBatches(t *testing.T) {
	config := fmt.Sprintf(reloadHead, t.TempDir(), "10s", 1, "1s", "", "1h") +
		fmt.Sprintf("- {name: a, uri: %q, realtime: true, loop: true}\n- {name: b, uri: %[1]q, realtime: true, loop: true}\n", demoClip(t))
	r := startReloadable(t, config)
	frames, count := 0.0, 0.0
	batches := func(together bool) func(map[string]schema.Status) bool {
		return func(map[string]schema.Status) bool {
			m := scrape(t, r.page)
			f, n := m["oodcast_detector_batch_frames_sum"]-frames, m["oodcast_detector_batch_frames_count"]-count
			frames, count = frames+f, count+n
			return n > 0 && (f > n) == together // counts since the last call
		}
	}
	settled := func(now map[string]schema.Status) bool {
		return now["a"].Stats.Scored > 0 && now["b"].Stats.Scored > 0
	}
	r.until("maps", settled)
	r.until("single frames", batches(false))
	r.replace(config + "provider: {batch: {frames: 2, wait: 5s}}\n")
	r.until("batches", batches(true))
	r.replace(config)
	r.until("single frames again", batches(false))
	if log := r.p.stderr.String(); strings.Contains(log, "restart") { // of a camera or of the service
		t.Errorf("switching batches must not need a restart:\n%s", log)
	}
}

// A camera that cannot be read reports why, and the others go on. When all cameras have failed, the service fails: see
// TestFaults.
func TestOneCameraFails(t *testing.T) {
	r := startReloadable(t, fmt.Sprintf(reloadHead, t.TempDir(), "10s", 1, "1s", "", "1h")+
		fmt.Sprintf("- {name: good, uri: %q, realtime: true, loop: true}\n- {name: bad, uri: /none.mp4}\n", demoClip(t)))
	now := r.until("maps of one and the end of the other", func(now map[string]schema.Status) bool {
		return now["good"].Stats.Scored > 2 && now["bad"].State == schema.StateEnded
	})
	if reason := now["bad"].Reason; !strings.Contains(reason, "none.mp4") || now["good"].State != schema.StateLive {
		t.Errorf("camera bad ended with reason %q, camera good is %s", reason, now["good"].State)
	}
	if code, _ := r.p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
