package publish_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// wantOneLine waits for a line in a log and checks that it is the only one.
func wantOneLine(t *testing.T, log *syncBuffer, what string) {
	t.Helper()
	wait(t, what, func() bool { return strings.Contains(log.String(), what) })
	if n := strings.Count(log.String(), what); n != 1 {
		t.Errorf("%d lines with %q, want 1:\n%s", n, what, log.String())
	}
}

// TestOtherLimits has an existing stream and bucket with other limits: the publisher uses them unchanged, and logs once for
// each of them how they differ.
func TestOtherLimits(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	theirs := jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"oodcast.v1.>"}, MaxAge: time.Hour, Storage: jetstream.MemoryStorage,
	}
	if _, err := js.CreateStream(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "oodcast_status"}); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	reg, option := counted(t)
	p := start(t, remote(t, s.ClientURL()), []schema.Camera{newCamera("front")}, option, log.option())
	p.Event(event("e", 1))
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
	wantOneLine(t, &log, "EVENTS has max_age 1h0m0s, max_bytes 0, max_msgs_per_subject 0, retention Limits, discard DiscardOld, "+
		"storage Memory, replicas 1; oodcast would set max_age 168h0m0s, max_bytes 268435456,")
	wantOneLine(t, &log, "bucket oodcast_status has no expiry: delete it, and oodcast creates it again")
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil || stream.CachedInfo().Config.MaxAge != time.Hour {
		t.Errorf("the stream was changed: %+v, %v", stream.CachedInfo().Config, err)
	}
}

// TestAccountWithoutJetStream has a server with JetStream, but not for the account of the publisher: events are sent as core
// NATS messages.
func TestAccountWithoutJetStream(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nats.conf")
	err := os.WriteFile(file, []byte(`
		jetstream {store_dir: "`+t.TempDir()+`"}
		accounts {
			plain {users: [{user: me, password: secret}]}
			stored {jetstream: enabled, users: [{user: them, password: secret}]}
		}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	opts.Port = -1
	s := runServer(t, *opts)
	cfg := remote(t, s.ClientURL())
	cfg.User, cfg.Password = "me", "secret"
	var log syncBuffer
	reg, option := counted(t)
	p := start(t, cfg, []schema.Camera{newCamera("front")}, option, log.option())
	sub := subscribe(t, connect(t, s.ClientURL(), nats.UserInfo("me", "secret")), "oodcast.v1.default.front.event.>")
	for i := range 3 {
		p.Event(event("e", i))
		next(t, sub)
	}
	wait(t, "the events", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 3 })
	wantOneLine(t, &log, "the server or its account for oodcast has no JetStream")
}

// TestPermissionsDenied has a user without permission to use JetStream: the log names the subject, maps are sent, and events
// wait for the permission.
func TestPermissionsDenied(t *testing.T) {
	user := func(allowed ...string) []*server.User {
		return []*server.User{{Username: "me", Password: "secret", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: append(allowed, "oodcast.>", "_INBOX.>", "$SRV.>")},
		}}}
	}
	opts := server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir(), Users: user()}
	s := runServer(t, opts)
	cfg := remote(t, s.ClientURL())
	cfg.User, cfg.Password = "me", "secret"
	var log syncBuffer
	reg, option := counted(t)
	p := start(t, cfg, []schema.Camera{newCamera("front")}, option, log.option())
	sub := subscribe(t, connect(t, s.ClientURL(), nats.UserInfo("me", "secret")), "oodcast.v1.default.front.map")
	p.Event(event("e", 1))
	p.Map(testMap("front", 1, 8, 8))
	next(t, sub)
	const denied = `Permissions Violation for Publish to \"$JS.API.STREAM.INFO.EVENTS\"`
	wait(t, "the denied subject", func() bool { return strings.Contains(log.String(), denied) })
	wait(t, "the consequence", func() bool { return strings.Contains(log.String(), "events are waiting for nats") })
	if got := metric(t, reg, "oodcast_nats_publish_total", "event", "sent"); got != 0 {
		t.Errorf("%v events sent, want 0", got)
	}
	opts.Host, opts.NoSigs, opts.NoLog, opts.Port = "127.0.0.1", true, true, port(s)
	opts.Users = user("$JS.API.>", "$KV.>")
	if err := s.ReloadOptions(&opts); err != nil {
		t.Fatal(err)
	}
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
}

// TestConflict has two publishers of one camera: the second one warns. The same name in another site is another camera.
func TestConflict(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	var first, second, elsewhere syncBuffer
	cams := func() []schema.Camera { return []schema.Camera{newCamera("front"), newCamera("rear")} }
	start(t, remote(t, s.ClientURL()), cams(), first.option())
	wait(t, "the first publisher to have looked for others", present(t, connect(t, s.ClientURL()), "default.rear"))
	start(t, remote(t, s.ClientURL()), cams()[:1], second.option())
	cfg := remote(t, s.ClientURL())
	cfg.Site = "lab"
	start(t, cfg, cams(), elsewhere.option())
	wantOneLine(t, &second, "oodcast.v1.default.front.*: change publish.site or the camera's name in one of them")
	for _, log := range []*syncBuffer{&first, &elsewhere} {
		if strings.Contains(log.String(), "publishes the same camera") {
			t.Errorf("a needless warning:\n%s", log.String())
		}
	}
}
