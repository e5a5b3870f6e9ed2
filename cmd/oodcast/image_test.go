package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/pion/webrtc/v4"

	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/publish/schema"
)

// The image's promises.
const (
	imageBytes = 450e6
	imageStop  = 3 * time.Second
	imageUser  = "10001"
)

// The secrets of the container under test.
const (
	imageToken = "token-of-the-test-image"
	busToken   = "bus-of-the-test-image"
)

// TestImage runs the image OODCAST_IMAGE as an operator would: with a read-only root and without capabilities.
// deploy/test-image.sh builds the image and gives the test a network of its own, with an address that is not loopback in
// OODCAST_IMAGE_HOST.
func TestImage(t *testing.T) {
	c := container{image: os.Getenv("OODCAST_IMAGE"), host: os.Getenv("OODCAST_IMAGE_HOST")}
	if c.image == "" {
		t.Skip("needs an image, root and podman; make test-image runs it")
	}
	t.Run("Manifest", c.testManifest)
	t.Run("User", c.testUser)
	t.Run("Locked", c.testLocked)
	t.Run("Doctor", c.testDoctor)
	t.Run("Bundles", c.testBundles)
	t.Run("Service", c.testService)
}

type container struct{ image, host string }

// podman runs one command of podman.
func podman(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(ctx, "podman", args...)
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	err = cmd.Run()
	return out.String(), faults.String(), err
}

func mustPodman(t *testing.T, args ...string) string {
	t.Helper()
	out, faults, err := podman(t.Context(), args...)
	if err != nil {
		t.Fatalf("podman %s: %v\n%s%s", strings.Join(args, " "), err, out, faults)
	}
	return strings.TrimSpace(out)
}

// command returns the arguments of podman run: no rights, nothing to write but the state, the test's own network. The limits
// are below those of any machine, because raising them takes a right that the test may lack.
func (c container) command(flags []string, args ...string) []string {
	all := []string{
		"run", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges",
		"--network=host", "--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024",
	}
	return append(append(append(all, flags...), c.image), args...)
}

// secrets are the flags that set the secrets.
func secrets() []string {
	return []string{"--env=OODCAST_PREVIEW__TOKEN=" + imageToken, "--env=OODCAST_PUBLISH__TOKEN=" + busToken}
}

func (c container) testManifest(t *testing.T) {
	var list []struct {
		Size        float64
		Healthcheck struct{ Test []string }
		Config      struct {
			User         string
			ExposedPorts map[string]struct{}
			Volumes      map[string]struct{}
		}
	}
	raw := mustPodman(t, "image", "inspect", c.image)
	if err := json.Unmarshal([]byte(raw), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v in %s", err, raw)
	}
	m := list[0]
	t.Logf("%.0f MB", m.Size/1e6)
	if m.Size > imageBytes {
		t.Errorf("%.0f bytes, want %.0f at most", m.Size, imageBytes)
	}
	if m.Config.User != imageUser+":"+imageUser {
		t.Errorf("user %q", m.Config.User)
	}
	if len(m.Healthcheck.Test) == 0 {
		t.Error("no health check")
	}
	if _, ok := m.Config.Volumes["/var/lib/oodcast"]; !ok {
		t.Errorf("volumes %v", m.Config.Volumes)
	}
	var ports []string
	for port := range m.Config.ExposedPorts {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	if diff := cmp.Diff([]string{"4222/tcp", "8080/tcp", "8189/udp"}, ports); diff != "" {
		t.Error(diff)
	}
}

// testUser looks from inside: who runs, and what can be written.
func (c container) testUser(t *testing.T) {
	const look = `id -u; id -g; for d in / /etc /usr/local/bin /tmp /var/lib/oodcast; do
		if touch $d/probe 2>/dev/null; then rm $d/probe; echo $d; fi; done; grep CapBnd /proc/self/status`
	got := strings.Fields(mustPodman(t, c.command([]string{"--rm", "--entrypoint=sh"}, "-c", look)...))
	want := []string{imageUser, imageUser, "/var/lib/oodcast", "CapBnd:", "0000000000000000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// testLocked starts the image without secrets: it names those it needs instead of letting the network in.
func (c container) testLocked(t *testing.T) {
	_, faults, err := podman(t.Context(), c.command([]string{"--rm"})...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitUsage {
		t.Errorf("%v, want exit code %d\n%s", err, exitUsage, faults)
	}
	for _, key := range []string{"preview.token", "publish.token"} {
		if !strings.Contains(faults, key) {
			t.Errorf("no word of %s in %s", key, faults)
		}
	}
}

func (c container) testDoctor(t *testing.T) {
	out := mustPodman(t, c.command(append(secrets(), "--rm"), "doctor", "--config", "/etc/oodcast/docker.yaml")...)
	t.Log("\n" + out)
	for line := range strings.Lines(out) {
		if what := strings.Fields(line); what[0] != "ok" && !strings.HasPrefix(strings.Join(what, " "), "note provider ") {
			t.Errorf("%s", line)
		}
	}
}

// testBundles checks that the bundles that make deps makes are in the image, and that nothing serves in their place.
func (c container) testBundles(t *testing.T) {
	out := mustPodman(t, c.command([]string{"--rm"}, "models", "verify")...)
	t.Log("\n" + out)
	for _, name := range []string{models.Default, models.General, models.Embedded} {
		if !strings.Contains(out, name+": outputs right on cpu") {
			t.Errorf("bundle %s is not right", name)
		}
	}
}

// testService watches an RTSP camera: the page, the preview, the bus and the health check work, and SIGTERM ends it.
func (c container) testService(t *testing.T) {
	camera := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{
		Width: 384, Height: 288, FPS: 5, Picture: ingesttest.Clip(t, demoClip(t), 384, 288, 200), Codec: "H264", KeyInterval: 5,
	})
	const volume = "oodcast-test-image"
	t.Cleanup(func() { _, _, _ = podman(context.Background(), "volume", "rm", "--force", volume) })
	begun := time.Now()
	id := mustPodman(t, c.command(append(secrets(), "--detach", "--volume="+volume+":/var/lib/oodcast"),
		"run", "--config", "/etc/oodcast/docker.yaml", "--source", camera.URL())...)
	t.Cleanup(func() {
		if t.Failed() {
			out, faults, _ := podman(context.Background(), "logs", id)
			t.Log(out + faults)
		}
		_, _, _ = podman(context.Background(), "rm", "--force", id)
	})
	page := "http://" + c.host + ":8080/"
	waitScored(t, page, 10)
	t.Logf("ten frames of %s scored after %v", camera.URL(), time.Since(begun).Round(time.Millisecond))
	for path, want := range map[string]int{"": 200, "livez": 200, "readyz": 200, "api/v1/cameras": 401} {
		if code, _ := request(t, http.MethodGet, page+path, "", nil); code != want {
			t.Errorf("/%s: %d, want %d", path, code, want)
		}
	}
	if _, body := request(t, http.MethodGet, page, "", nil); !bytes.Contains(body, []byte("<title>oodcast")) {
		t.Errorf("the page is %.200s", body)
	}
	mustPodman(t, "healthcheck", "run", id)
	if codec := watchWHEP(t, page+"whep/camera", imageToken); codec != webrtc.MimeTypeH264 {
		t.Errorf("a camera of H.264 is shown as %s", codec)
	}
	c.hearMaps(t)

	begun = time.Now()
	mustPodman(t, "kill", "--signal=TERM", id)
	code := mustPodman(t, "wait", id)
	took := time.Since(begun)
	t.Logf("SIGTERM: exit code %s after %v", code, took.Round(time.Millisecond))
	if code != "0" || took > imageStop {
		t.Errorf("exit code %s after %v, want 0 within %v", code, took, imageStop)
	}
	state := mustPodman(t, c.command([]string{"--rm", "--entrypoint=ls", "--volume=" + volume + ":/var/lib/oodcast"}, "state")...)
	if !slices.Contains(strings.Fields(state), "nats") {
		t.Errorf("the volume has %q", state)
	}
}

// hearMaps connects to the server in the container: it takes the token, and nobody without.
func (c container) hearMaps(t *testing.T) {
	url := "nats://" + c.host + ":4222"
	if nc, err := nats.Connect(url); err == nil {
		nc.Close()
		t.Error("NATS lets everybody in")
	}
	nc, err := nats.Connect(url, nats.Token(busToken))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	next(t, maps(t, nc), 60*time.Second)
}

// request sends one request with a body, with the token unless it is "".
func request(t *testing.T, method, url, token string, body []byte) (code int, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/sdp")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// waitScored waits until the camera has had n frames scored.
func waitScored(t *testing.T, page string, n uint64) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for {
		code, body := request(t, http.MethodGet, page+"api/v1/cameras", imageToken, nil)
		var list struct{ Cameras []schema.Status }
		if err := json.Unmarshal(body, &list); code == 200 && err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if len(list.Cameras) == 1 && list.Cameras[0].Stats.Scored >= n {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d %s", code, body)
		}
	}
}

// watchWHEP watches the preview: a picture arrives over WebRTC. It returns the codec.
func watchWHEP(t *testing.T, url, token string) (codec string) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	_, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{
		Direction: webrtc.RTPTransceiverDirectionRecvonly,
	})
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan string, 1)
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if _, _, err := track.ReadRTP(); err == nil {
			arrived <- track.Codec().MimeType
		}
	})
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	code, answer := request(t, http.MethodPost, url, token, []byte(pc.LocalDescription().SDP))
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
	select {
	case codec = <-arrived:
	case <-time.After(30 * time.Second):
		t.Error("no picture over WebRTC within 30 s")
	}
	return codec
}
