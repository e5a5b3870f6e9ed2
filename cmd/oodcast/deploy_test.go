package main

import (
	"encoding/json"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// promisedMetrics are the metrics whose names operators rely on; each is on the dashboard.
func promisedMetrics() []string {
	return []string{
		"frames_captured_total", "frames_dropped_total", "frames_processed_total", "stage_duration_seconds",
		"frame_age_seconds", "queue_length", "queue_capacity", "source_up", "source_reconnects_total", "inference_steps",
		"anomaly_score", "anomaly_area_ratio", "events_total", "nats_publish_total", "webrtc_viewers",
		"webrtc_keyframe_requests_total", "encoder_bitrate_bits", "build_info", "model_info",
	}
}

// Every metric on the dashboard exists: our metrics in a scrape or in the code, those of the Go runtime and the process in a
// scrape. Every promised metric exists and is on the dashboard.
func TestDashboardMetricsExist(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	p, _ := yard(t)
	known := scrape(t, p.find(t, "page "))
	literal := regexp.MustCompile(`"(oodcast_[a-z_]+)"`)
	err = filepath.WalkDir("../../publish", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range literal.FindAllSubmatch(src, -1) {
			known[string(m[1])] = 0 // counters appear in a scrape only after their first count
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range promisedMetrics() {
		if _, ok := known["oodcast_"+name]; !ok && known["oodcast_"+name+"_count"] == 0 {
			t.Errorf("the metric oodcast_%s does not exist", name)
		}
		if !strings.Contains(string(raw), "oodcast_"+name) {
			t.Errorf("oodcast_%s is not on the dashboard", name)
		}
	}
	used := regexp.MustCompile(`\b(oodcast|go|process)_[a-z_]+\b`)
	n := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			for _, name := range used.FindAllString(target.Expr, -1) {
				n++
				if _, ok := known[strings.TrimSuffix(name, "_bucket")]; !ok {
					t.Errorf("panel %q: the metric %s does not exist", panel.Title, name)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d metrics on the dashboard, want at least 10", n)
	}
}

// Every metric in a scrape or in the code is explained in the documentation.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := yard(t)
	known := scrape(t, p.find(t, "page "))
	named := regexp.MustCompile(`(?m)Name: +"(oodcast_[a-z_]+)"|(?:gauge|counter|histogram)\("(oodcast_[a-z_]+)"`)
	for _, folder := range []string{"publish", "pipeline", "cmd/oodcast"} {
		err = filepath.WalkDir("../../"+folder, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			src, err := os.ReadFile(path)
			for _, m := range named.FindAllSubmatch(src, -1) {
				known[string(m[1])+string(m[2])] = 0
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	explained := regexp.MustCompile("`(oodcast_[a-z_]+)")
	names := map[string]bool{}
	for _, m := range explained.FindAllSubmatch(doc, -1) {
		names[string(m[1])] = true
	}
	n := 0
	for name := range known {
		if !strings.HasPrefix(name, "oodcast_") {
			continue
		}
		n++
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && names[base] {
				name = base
			}
		}
		if !names[name] {
			t.Errorf("docs/operation.md does not explain %s", name)
		}
	}
	if n < 40 {
		t.Errorf("only %d metrics found", n)
	}
}

// systemd accepts the unit. Its executable is replaced, because it exists only where oodcast is installed.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	unit, err := os.ReadFile("../../deploy/oodcast.service")
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, filepath.Join(t.TempDir(), "oodcast.service"),
		strings.ReplaceAll(string(unit), "/opt/oodcast/bin/oodcast", "/bin/true"))
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// mostExposed bounds the exposure level of the unit. systemd-analyze counts from 0 (confined) to 10.
const mostExposed = 2.0

// The unit can reach little of the system, in systemd's judgement.
func TestUnitIsConfined(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.CommandContext(t.Context(), analyze,
		"security", "--offline=true", "--no-pager", "../../deploy/oodcast.service").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	level := regexp.MustCompile(`exposure level for oodcast.service: ([0-9.]+)`).FindSubmatch(out)
	if level == nil {
		t.Fatalf("no exposure level in\n%s", out)
	}
	if exposed, err := strconv.ParseFloat(string(level[1]), 64); err != nil || exposed > mostExposed {
		t.Errorf("exposure level %s, want at most %.1f\n%s", level[1], mostExposed, out)
	}
}

// The service manager receives readiness, watchdog pings and the shutdown.
func TestServiceManager(t *testing.T) {
	manager := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: manager, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", manager)
	t.Setenv("WATCHDOG_USEC", "1000000")
	p, _ := yard(t)
	expect := func(what string) {
		t.Helper()
		buf := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if strings.Contains("\n"+string(buf[:n])+"\n", "\n"+what+"\n") {
				return
			}
		}
	}
	expect("READY=1")
	expect("WATCHDOG=1")
	expect("WATCHDOG=1")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect("STOPPING=1")
	<-p.done
}
