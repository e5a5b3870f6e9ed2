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

// once wants a line in a log, and one only.
func once(t *testing.T, log *syncBuffer, what string) {
	t.Helper()
	wait(t, what, func() bool { return strings.Contains(log.String(), what) })
	if n := strings.Count(log.String(), what); n != 1 {
		t.Errorf("%d lines about %q, want 1:\n%s", n, what, log.String())
	}
}

// TestOtherLimits has a stream and a bucket that somebody made with other limits: they are used as they are, and one line
// each says how they differ.
func TestOtherLimits(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	theirs := jetstream.StreamConfig{
		Name: schema.EventStream, Subjects: []string{"oodcast.v1.>"}, MaxAge: time.Hour, Storage: jetstream.MemoryStorage,
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
	once(t, &log, "EVENTS has max_age 1h0m0s, max_bytes 0, max_msgs_per_subject 0, retention Limits, discard DiscardOld, "+
		"storage Memory, ours would have max_age 168h0m0s, max_bytes 268435456,")
	once(t, &log, "bucket oodcast_status was made without expiry: delete it, and it is made again")
	stream, err := js.Stream(t.Context(), schema.EventStream)
	if err != nil || stream.CachedInfo().Config.MaxAge != time.Hour {
		t.Errorf("the stream was changed: %+v, %v", stream.CachedInfo().Config, err)
	}
}

// TestAccountWithoutJetStream has a server that stores messages, though not for us: events go out as plain messages.
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
	once(t, &log, "the server, or our account there, has no JetStream")
}

// TestPermissionsDenied has a user who may not speak to JetStream: the log names the subject, maps go out, and events wait
// until it is allowed.
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
	wait(t, "the subject that is denied", func() bool { return strings.Contains(log.String(), denied) })
	wait(t, "what that means", func() bool { return strings.Contains(log.String(), "events wait for nats") })
	if got := metric(t, reg, "oodcast_nats_publish_total", "event", "sent"); got != 0 {
		t.Errorf("%v events sent", got)
	}
	opts.Host, opts.NoSigs, opts.NoLog, opts.Port = "127.0.0.1", true, true, port(s)
	opts.Users = user("$JS.API.>", "$KV.>")
	if err := s.ReloadOptions(&opts); err != nil {
		t.Fatal(err)
	}
	wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
}

// TestTwins has two publishers of one camera: the second one warns. Another site is another camera.
func TestTwins(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	var first, second, elsewhere syncBuffer
	cams := func() []schema.Camera { return []schema.Camera{newCamera("front"), newCamera("rear")} }
	start(t, remote(t, s.ClientURL()), cams(), first.option())
	wait(t, "the first to have looked around", present(t, connect(t, s.ClientURL()), "default.rear"))
	start(t, remote(t, s.ClientURL()), cams()[:1], second.option())
	cfg := remote(t, s.ClientURL())
	cfg.Site = "lab"
	start(t, cfg, cams(), elsewhere.option())
	once(t, &second, "another one has oodcast.v1.default.front.*: give one of them another publish.site or camera name")
	for _, log := range []*syncBuffer{&first, &elsewhere} {
		if strings.Contains(log.String(), "two oodcast") {
			t.Errorf("a warning for nothing:\n%s", log.String())
		}
	}
}
