package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/models"
)

func write(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyBundle copies the default bundle to a folder, where a test may damage it.
func copyBundle(t *testing.T) string {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, name := range b.FileNames() {
		if files[name], err = b.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := models.Write(dir, b.Manifest, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Every fault gives the documented exit code and one line on stderr that names the cause.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	clip := demoClip(t)
	text := write(t, filepath.Join(dir, "text.mp4"), "this is no video")
	broken := copyBundle(t)
	encoder := filepath.Join(broken, models.EncoderFile)
	raw, err := os.ReadFile(encoder)
	if err != nil {
		t.Fatal(err)
	}
	write(t, encoder, string(raw[:len(raw)/2]))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().String()
	state := filepath.Join(dir, "state")
	yaml := func(name, body string) string { return write(t, filepath.Join(dir, name), body) }
	quiet := []string{"--http", "127.0.0.1:0", "--nats", "off"}
	runWith := func(args ...string) []string { return append(append([]string{"run"}, args...), quiet...) }

	fitWith := func(args ...string) []string {
		return append([]string{"fit", "--bundle", models.Embedded, "--source", clip, "--out", filepath.Join(dir, "fit")}, args...)
	}
	cases := []struct {
		name string
		args []string
		code int
		want []string // parts of the message
	}{
		{"unknown verb", []string{"watchdog"}, exitUsage, []string{"watchdog"}},
		{"unknown flag", []string{"run", "--sauce", "x"}, exitUsage, []string{"--sauce"}},
		{"no camera", runWith(), exitUsage, []string{"no camera", "--source"}},
		{"no such config", runWith("--config", dir+"/none.yaml"), exitUsage, []string{"none.yaml"}},
		{
			"unknown key", runWith("--config", yaml("key.yaml", "detector: {timestep: 5}\n")), exitUsage,
			[]string{"key.yaml", "timestep"},
		},
		{
			"two bad values", runWith("--source", clip, "--config", yaml("values.yaml",
				"provider: {name: gpu}\npublish: {site: A-B}\n")), exitUsage, []string{"provider.name", `"gpu"`, "site"},
		},
		{
			"jsonl in a missing folder",
			runWith("--source", clip, "--config", yaml("jsonl.yaml", "outputs: {jsonl: "+dir+"/none/yard.jsonl}\n")), exitUsage,
			[]string{"outputs.jsonl", "none/yard.jsonl"},
		},
		{"bad timesteps", runWith("--source", clip, "--timesteps", "many"), exitUsage, []string{"--timesteps", "many"}},
		{"no timesteps", runWith("--source", clip, "--timesteps", "0"), exitUsage, []string{"--timesteps", "got 0", "from 1"}},
		{"score: no timesteps", []string{"score", "--timesteps", "0", "--out", dir, clip}, exitUsage, []string{"--timesteps", "got 0"}},
		{"bench: no timesteps", []string{"bench", "--timesteps", "0"}, exitUsage, []string{"--timesteps", "got 0"}},
		{"eval: no timesteps", []string{"eval", "--timesteps", "0", "--dataset", "folder", "--root", dir}, exitUsage, []string{"--timesteps", "got 0"}},
		{"too many timesteps", runWith("--source", clip, "--timesteps", "400"), exitUsage, []string{"timesteps", "400"}},
		{"no such bundle", runWith("--source", clip, "--bundle", dir+"/none"), exitUsage, []string{"none"}},
		{"corrupt bundle", runWith("--source", clip, "--bundle", broken), exitFailed, []string{broken, models.EncoderFile}},
		{"no such file", runWith("--source", dir+"/none.mp4", "--exit-on-end"), exitUsage, []string{"none.mp4"}},
		{"not a video", runWith("--source", text, "--exit-on-end"), exitFailed, []string{"text.mp4"}},
		{"unsupported address", runWith("--source", "ftp://host/x"), exitUsage, []string{"ftp"}},
		{"page port taken", []string{"run", "--source", clip, "--http", port, "--nats", "off"}, exitFailed, []string{port}},
		{
			"nats port taken",
			[]string{
				"run", "--source", clip, "--http", "127.0.0.1:0", "--nats", "embedded://" + port,
				"--config", yaml("state.yaml", "publish: {state_dir: "+state+"}\n"),
			},
			exitFailed,
			[]string{port},
		},
		{
			"provider required", runWith("--source", clip, "--provider", "cuda", "--provider-required"), exitNotInstalled,
			[]string{"cuda"},
		},
		{"too many threads", []string{"bench", "--threads", "10000"}, exitUsage, []string{"--threads", "10000", "to "}},
		{
			"too many threads of a service", runWith("--source", clip, "--config", yaml("threads.yaml", "provider: {threads: 1000000}\n")),
			exitUsage,
			[]string{"provider.threads", "1000000", "to "},
		},
		{"watch: # in a password", []string{"watch", "--nats", "nats://u:hunter#2@127.0.0.1:1"}, exitUsage, []string{"--nats", "%23"}},
		{"watch: % in a password", []string{"watch", "--nats", "nats://u:hunter%zz2@127.0.0.1:1"}, exitUsage, []string{"--nats", "%25"}},
		{"run: # in a password", runWith("--source", "rtsp://u:hunter#2@127.0.0.1:1/x"), exitUsage, []string{"uri", "%23"}},
		{
			"fit: / in a password",
			[]string{"fit", "--source", "rtsp://u:hunter/2@127.0.0.1:1/x", "--out", dir + "/fit"},
			exitUsage,
			[]string{"%2F"},
		},
		{"bench: no frames", []string{"bench", "--frames", "0"}, exitUsage, []string{"--frames", "0"}},
		{"bench: too large a batch", []string{"bench", "--batch", "33"}, exitUsage, []string{"--batch", "33"}},
		{"score: no such input", []string{"score", "--out", dir, dir + "/none.png"}, exitUsage, []string{"none.png"}},
		{"score: not a picture", []string{
			"score", "--out", dir, write(t, filepath.Join(dir, "text.png"), "no picture"),
		}, exitFailed, []string{"text.png"}},
		{"truncated checkpoint", []string{
			"models", "import", "efficientvit-seg", write(t, filepath.Join(dir, "weights.pt"), "PK\x03\x04 cut off"),
			"--out", dir + "/import",
		}, exitFailed, []string{"weights.pt"}},
		{"no such checkpoint", []string{
			"models", "import", "efficientvit-seg", dir + "/none.pt", "--out", dir + "/import",
		}, exitUsage, []string{"none.pt"}},
		{"fit: no such bundle", []string{
			"fit", "--bundle", dir + "/none", "--source", clip, "--out", dir + "/fit",
		}, exitUsage, []string{"none"}},
		{"fit: no such source", []string{
			"fit", "--bundle", models.Embedded, "--source", dir + "/none.mp4", "--out", dir + "/fit",
		}, exitUsage, []string{"none.mp4"}},
		{"fit: a name that is none", fitWith("--name", "My.Bundle"), exitUsage, []string{"--name", "my-bundle"}},
		{"fit: a size that is none", fitWith("--size", "1000x500"), exitUsage, []string{"--size", "multiples of 32"}},
		{"fit: no folder for the result", fitWith("--json", dir+"/none/r.json"), exitUsage, []string{"none/r.json"}},
		{"fit: a file above the bundle", []string{
			"fit", "--bundle", models.Embedded, "--source", clip, "--out", text + "/bundle",
		}, exitFailed, []string{"text.mp4/bundle", "not a directory"}},
		{"bench: no folder for the result", []string{"bench", "--json", dir + "/none/r.json"}, exitUsage, []string{"none/r.json"}},
		{"bench: a folder for the result", []string{"bench", "--json", dir}, exitUsage, []string{"it is a folder"}},
		{"eval: no folder for the result", []string{
			"eval", "--stream", clip, "--truth", dir, "--json", dir + "/none/r.json",
		}, exitUsage, []string{"none/r.json"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := oodcast(t, c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			last := lastLine(stderr)
			for _, part := range c.want {
				if !strings.Contains(last, part) {
					t.Errorf("message %q does not name %q", last, part)
				}
			}
			if strings.Contains(stdout+stderr, "hunter") {
				t.Error("the output contains a password")
			}
			if strings.Contains(stderr, "goroutine ") {
				t.Errorf("oodcast panicked:\n%s", stderr)
			}
			if t.Failed() {
				t.Logf("oodcast %s\nstdout: %s\nstderr: %s", strings.Join(c.args, " "), stdout, stderr)
			}
		})
	}
}

// lastLine returns the error: log lines may come before it.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Credentials of a source must not appear in the output.
func TestCredentialsStayHidden(t *testing.T) {
	p := start(t, "run", "--source", "rtsp://operator:hunter2@127.0.0.1:9/live", "--http", "127.0.0.1:0", "--nats", "off")
	p.find(t, "page")
	p.find(t, "rtsp://")
	if code, _ := p.stop(t, os.Interrupt); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if all := strings.Join(p.lines, "\n") + p.stderr.String(); strings.Contains(all, "hunter2") {
		t.Errorf("the output contains the password:\n%s", all)
	}
}
