package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.yaml.in/yaml/v3"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/publish"
)

// The image exposes the ports that its configuration opens, and the configuration opens none without a secret.
func TestImageExposesWhatItsConfigurationOpens(t *testing.T) {
	cfg, err := configs.Load("../../configs/docker.yaml")
	if err != nil {
		t.Fatal(err)
	}
	host, busPort, err := cfg.Publish.EmbeddedAddr()
	if err != nil {
		t.Fatal(err)
	}
	open := []string{
		openPort(t, cfg.Preview.Listen) + "/tcp",
		openPort(t, cfg.Preview.WebRTC.ListenUDP) + "/udp",
		openPort(t, net.JoinHostPort(host, strconv.Itoa(busPort))) + "/tcp",
	}
	file, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var exposed []string
	for _, m := range regexp.MustCompile(`(?m)^EXPOSE (.+)$`).FindAllSubmatch(file, -1) {
		exposed = append(exposed, strings.Fields(string(m[1]))...)
	}
	slices.Sort(open)
	slices.Sort(exposed)
	if diff := cmp.Diff(open, exposed); diff != "" {
		t.Errorf("open (-) and exposed (+):\n%s", diff)
	}
	faults := fmt.Sprint(cfg.Validate())
	for _, want := range []string{"preview.token", "publish.token"} {
		if !strings.Contains(faults, want) {
			t.Errorf("faults without secrets: %s, want one about %s", faults, want)
		}
	}
}

// openPort returns the port of an address on every interface.
func openPort(t *testing.T, addr string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "" && host != "0.0.0.0" {
		t.Errorf("address %q, want every interface", addr)
	}
	return port
}

// compose holds the keys of compose.yaml that TestCompose judges.
type compose struct {
	Services map[string]struct {
		Ports   []string
		Volumes []yaml.Node
	}
}

// mounts returns the source of each bind mount by its target.
func (c compose) mounts(t *testing.T) map[string]string {
	t.Helper()
	mounts := map[string]string{}
	for _, service := range c.Services {
		for _, node := range service.Volumes {
			if node.Kind != yaml.MappingNode {
				continue // a named volume
			}
			var bind struct{ Source, Target string }
			if err := node.Decode(&bind); err != nil {
				t.Fatal(err)
			}
			mounts[bind.Target] = bind.Source
		}
	}
	return mounts
}

// compose.yaml mounts existing files, publishes the ports that its configuration opens, and runs a NATS server that accepts
// oodcast's login only.
func TestCompose(t *testing.T) {
	t.Setenv("TOKEN", "0123456789abcdef")
	t.Setenv("NATS_PASSWORD", "n0123456789abcdef")
	raw, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file compose
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	mounts := file.mounts(t)
	for target, source := range mounts {
		if strings.HasPrefix(source, "${") {
			continue // a film
		}
		if _, err := os.Stat(filepath.Join("../..", source)); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	cfg, err := configs.Load("../../deploy/compose.oodcast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if len(cfg.Cameras) != 2 {
		t.Errorf("%d cameras, want 2", len(cfg.Cameras))
	}
	for _, cam := range cfg.Cameras {
		if mounts[cam.URI] == "" {
			t.Errorf("camera %s: %s is not mounted", cam.Name, cam.URI)
		}
	}
	page, media := openPort(t, cfg.Preview.Listen), openPort(t, cfg.Preview.WebRTC.ListenUDP)
	want := []string{"${ADDRESS:-127.0.0.1}:" + page + ":" + page, "${ADDRESS:-127.0.0.1}:" + media + ":" + media + "/udp"}
	if diff := cmp.Diff(want, file.Services["oodcast"].Ports); diff != "" {
		t.Error(diff)
	}
	loginToComposeNATS(t, cfg.Publish)
}

// loginToComposeNATS starts a server with compose's configuration on a free port, in a folder of the test, and logs in.
func loginToComposeNATS(t *testing.T, cfg publish.Config) {
	t.Helper()
	opts, err := server.ProcessConfigFile("../../deploy/nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.HTTPPort, opts.StoreDir = "127.0.0.1", server.RANDOM_PORT, 0, t.TempDir()
	opts.NoSigs, opts.NoLog = true, true
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	if nc, err := nats.Connect(srv.ClientURL()); err == nil {
		nc.Close()
		t.Error("connected without a login")
	}
	cfg.URL = srv.ClientURL()
	nc, err := publish.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if !srv.JetStreamEnabled() {
		t.Error("JetStream is off")
	}
}
