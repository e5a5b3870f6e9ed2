package publish_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// stored returns the number of messages in a stream, 0 if there is none.
func stored(ctx context.Context, js jetstream.JetStream, name string) uint64 {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return 0
	}
	return stream.CachedInfo().State.Msgs
}

// TestEventsWaitForTheStream has servers on which the stream cannot be created: events wait on disk, even across a restart of
// oodcast, Check says why, and once the cause is removed all of them are stored, once and in order.
func TestEventsWaitForTheStream(t *testing.T) {
	login := nats.UserInfo("me", "secret")
	for name, c := range map[string]struct {
		account  string // limits
		obstacle jetstream.StreamConfig
		why      string
		remedy   func(context.Context, jetstream.JetStream) error
	}{
		"subjects overlap": {
			"jetstream: enabled",
			jetstream.StreamConfig{Name: "ALL", Subjects: []string{"oodcast.>"}},
			"ALL has oodcast.v1.*.*.event.>: remove that subject there",
			func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "ALL") },
		},
		"streams of the account": {
			"jetstream: {max_streams: 1}",
			jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}},
			"maximum number of streams reached",
			func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "OTHER") },
		},
		"storage of the account": {
			"jetstream: {max_file: 300MB, max_memory: 100MB}",
			jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}, MaxBytes: 200 << 20},
			"insufficient storage resources available",
			func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "OTHER") },
		},
		"a stream of that name": {
			"jetstream: enabled",
			jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"other.>"}},
			"stream EVENTS: it exists but does not accept oodcast.v1.*.*.event.>",
			func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "EVENTS") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "nats.conf")
			err := os.WriteFile(file, []byte(`
				jetstream {store_dir: "`+t.TempDir()+`"}
				accounts { a {`+c.account+`, users: [{user: me, password: secret}]} }`), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			opts, err := server.ProcessConfigFile(file)
			if err != nil {
				t.Fatal(err)
			}
			opts.Port = -1
			s := runServer(t, *opts)
			js, err := jetstream.New(connect(t, s.ClientURL(), login))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := js.CreateStream(t.Context(), c.obstacle); err != nil {
				t.Fatal(err)
			}
			cfg := remote(t, s.ClientURL())
			cfg.User, cfg.Password = "me", "secret"
			t.Run("refused", func(t *testing.T) {
				reg, option := counted(t)
				p := start(t, cfg, []schema.Camera{newCamera("front")}, option)
				wait(t, "Check to fail without an event", func() bool { return p.Check() != nil })
				for i := range 5 {
					p.Event(event("e", i))
				}
				if err := p.Check(); err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("Check() = %v, want … %s", err, c.why)
				}
				if got := metric(t, reg, "oodcast_nats_publish_total", "event", "refused"); got != 0 {
					t.Errorf("%v events thrown away", got)
				}
			})
			p := start(t, cfg, nil)
			p.Event(event("f", 1))
			wait(t, "Check to fail", func() bool { return p.Check() != nil })
			if err := c.remedy(t.Context(), js); err != nil {
				t.Fatal(err)
			}
			wait(t, "all events", func() bool { return stored(t.Context(), js, "EVENTS") == 7 }) // and the end of "e"
			wait(t, "Check to pass", func() bool { return p.Check() == nil })
			checkOrder(t, js, "EVENTS", "e", 5)
		})
	}
}

// checkOrder checks that the stream begins with the revisions 0…n−1 of an event.
func checkOrder(t *testing.T, js jetstream.JetStream, name, id string, n int) {
	t.Helper()
	stream, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for seq := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(t.Context(), seq+1)
		if err != nil {
			t.Fatal(err)
		}
		seen[m.Header.Get("Nats-Msg-Id")]++
	}
	for i := range n {
		if got := seen[id+"."+strconv.Itoa(i)]; got != 1 {
			t.Errorf("event %s.%d is %d times in %s, want once", id, i, got, name)
		}
	}
}

// TestEventTooLarge has a stream that takes small messages only: an event that does not fit is given up, and the next one that
// does is stored.
func TestEventTooLarge(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	small := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"oodcast.v1.*.*.event.>"}, MaxMsgSize: 2000}
	if _, err := js.CreateStream(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	reg, option := counted(t)
	p := start(t, remote(t, s.ClientURL()), nil, option)
	large := event("large", 0)
	large.Bundle = strings.Repeat("x", 3000)
	p.Event(large)
	p.Event(event("e", 0))
	wait(t, "the small event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
	if got := metric(t, reg, "oodcast_nats_publish_total", "event", "refused"); got != 1 {
		t.Errorf("%v events refused, want the large one", got)
	}
	checkAll(t, js, "EVENTS", 1)
}
