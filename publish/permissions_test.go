package publish_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// documentedPermissions returns the configuration of a server in docs/nats.md.
func documentedPermissions(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(b), "```") {
		if strings.HasPrefix(block, "\nauthorization {") {
			return block
		}
	}
	t.Fatal("docs/nats.md has no block with permissions")
	return ""
}

// TestDocumentedPermissions runs a server that permits exactly what docs/nats.md says: everything works, nothing is refused,
// and everything else is denied.
func TestDocumentedPermissions(t *testing.T) {
	opts := server.Options{}
	if err := opts.ProcessConfigString(documentedPermissions(t)); err != nil {
		t.Fatal(err)
	}
	opts.Users = append(opts.Users, &server.User{Username: "admin", Password: "secret"})
	opts.Port, opts.JetStream, opts.StoreDir = -1, true, t.TempDir()
	s := runServer(t, opts)
	cfg := remote(t, s.ClientURL())
	cfg.User, cfg.Password, cfg.MapStream, cfg.StatusInterval = "oodcast", "change me", true, time.Second
	var log syncBuffer
	reg, option := counted(t)
	p := start(t, cfg, []schema.Camera{newCamera("front")}, option, log.option())
	admin := cfg
	admin.User, admin.Password = "admin", "secret"
	nc := dial(t, admin)
	stats := subscribe(t, nc, "oodcast.v1.default.front.stats")
	maps := subscribe(t, nc, "oodcast.v1.default.front.map")
	p.Map(testMap("front", 0, 8, 8))
	next(t, maps)
	p.Event(event("e", 1))
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
	wait(t, "the presence", present(t, nc, "default.front"))
	for range 20 { // every request is answered
		if r := ask(t, nc, "front", "set", `{"threshold":6}`); !json.Valid(r.Data) {
			t.Errorf("answer %s", r.Data)
		}
	}
	ask(t, nc, "front", "snapshot", "")
	if found := askServices[struct{}](t, nc, "$SRV.PING.oodcast", 1); len(found) != 1 {
		t.Errorf("services: %v", found)
	}
	askServices[struct{}](t, nc, "$SRV.STATS.oodcast", 1)
	own, err := jetstream.New(dial(t, cfg))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "oodcast_archive"}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"$O.oodcast_archive.C.chunk", "$O.oodcast_archive.M.name"} { // as package archive does
		if _, err := own.Publish(t.Context(), subject, make([]byte, 64<<10)); err != nil {
			t.Errorf("%s: %v", subject, err)
		}
	}
	evidence, err := own.Stream(t.Context(), "OBJ_oodcast_archive")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := evidence.GetLastMsgForSubject(t.Context(), "$O.oodcast_archive.C.chunk"); err != nil || len(m.Data) != 64<<10 {
		t.Errorf("reading evidence: %v", err)
	}
	if err := evidence.Purge(t.Context(), jetstream.WithPurgeSubject("$O.oodcast_archive.C.chunk")); err != nil {
		t.Error(err)
	}
	next(t, stats)
	for _, denied := range []string{"other.subject", "$KV.other.x", "$O.other.C.x", "$SYS.REQ.SERVER.PING", "_INBOX.x"} {
		_ = own.Conn().Publish(denied, nil)
	}
	if err := own.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	wait(t, "the denial", func() bool {
		err := own.Conn().LastError()
		return err != nil && strings.Contains(err.Error(), "Permissions Violation")
	})
	for _, line := range strings.Split(log.String(), "\n") {
		if strings.Contains(line, "Violation") || strings.Contains(line, `"level":"WARN"`) {
			t.Errorf("the publisher was refused something, or complains: %s", line)
		}
	}
}
