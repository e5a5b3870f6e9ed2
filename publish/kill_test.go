package publish_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/schema"
)

// noServer is an address without a server.
const noServer = "nats://127.0.0.1:1"

// TestKilledWhileNATSIsAway kills a publisher with SIGKILL while it writes, three times, and damages the end of its spool as an
// interrupted write does. In the end, every event for which Event had returned is in the stream, once and in order.
func TestKilledWhileNATSIsAway(t *testing.T) {
	state := t.TempDir()
	accepted := map[string]int{}
	for round := range 3 {
		id := fmt.Sprintf("round%d", round)
		p := launch(t, "publisher", noServer, state, id)
		accepted[id] = killAfter(t, p, 200)
		file, err := os.OpenFile(filepath.Join(state, "spool", "events.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(`{"id":"torn","revision":1,"cam`); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	drain(t, s.ClientURL(), state)
	checkStream(t, s.ClientURL(), accepted)
}

// TestKilledWhileSending kills the publisher, and then the server, while a backlog is being sent.
func TestKilledWhileSending(t *testing.T) {
	state, store := t.TempDir(), t.TempDir()
	p := launch(t, "publisher", noServer, state, "backlog")
	accepted := map[string]int{"backlog": killAfter(t, p, 600)}

	srv, url := launchServer(t, -1, store)
	port, err := strconv.Atoi(url[strings.LastIndex(url, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	p = launch(t, "publisher", url, state, "second")
	waitStored(t, url, 100)
	accepted["second"] = acceptedCount(p.kill())
	p = launch(t, "publisher", url, state, "third")
	waitStored(t, url, 250)
	srv.kill()
	launchServer(t, port, store)
	waitStored(t, url, 400)
	accepted["third"] = acceptedCount(p.kill())
	drain(t, url, state)
	checkStream(t, url, accepted)
}

// acceptedCount parses a line of the publisher: the number of events that were accepted so far.
func acceptedCount(line string) int {
	n, err := strconv.Atoi(line)
	if err != nil {
		return 0 // the publisher died before it printed a line
	}
	return n
}

// killAfter kills a publisher after n events were accepted, and returns the number that it had printed.
func killAfter(t *testing.T, p *process, n int) int {
	t.Helper()
	printed := 0
	for printed < n {
		if printed = acceptedCount(p.line()); printed == 0 {
			t.Fatal("the publisher ended early")
		}
	}
	return max(printed, acceptedCount(p.kill()))
}

// drain runs a publisher on a spool until all its events are sent.
func drain(t *testing.T, url, state string) {
	t.Helper()
	reg, option := counted(t)
	cfg := remote(t, url)
	cfg.StateDir = state
	start(t, cfg, nil, option)
	wait(t, "an empty spool", func() bool {
		return metric(t, reg, "oodcast_nats_connected") == 1 && metric(t, reg, "oodcast_nats_spool_bytes") == 0
	})
}

// eventStream returns the event stream. It fails while the server or the stream does not exist.
func eventStream(t *testing.T, url string) (jetstream.Stream, *jetstream.StreamInfo, error) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, err
	}
	stream, err := js.Stream(t.Context(), "EVENTS")
	if err != nil {
		return nil, nil, err
	}
	info, err := stream.Info(t.Context())
	return stream, info, err
}

// waitStored waits until n events are in the stream.
func waitStored(t *testing.T, url string, n uint64) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, fmt.Sprintf("%d events in the stream", n), func() bool {
		stream, err := js.Stream(t.Context(), "EVENTS")
		return err == nil && stream.CachedInfo().State.Msgs >= n
	})
}

// checkStream checks that the stream has, for every event id, the revisions from 1 in order, without gaps and duplicates, at
// least as many as were accepted, and then an end with the reason "interrupted". It must have nothing else.
func checkStream(t *testing.T, url string, accepted map[string]int) {
	t.Helper()
	stream, info, err := eventStream(t, url)
	if err != nil {
		t.Fatal(err)
	}
	newest, reason := map[string]int{}, map[string]string{}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		raw, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		var e schema.Event
		if err := json.Unmarshal(raw.Data, &e); err != nil {
			t.Fatalf("%s: %v", raw.Data, err)
		}
		if want := newest[e.ID] + 1; e.Revision != want || reason[e.ID] != "" {
			t.Fatalf("message %d is %s.%d, want %s.%d, and nothing after an end", seq, e.ID, e.Revision, e.ID, want)
		}
		newest[e.ID], reason[e.ID] = e.Revision, e.Reason
	}
	for id, n := range accepted {
		if newest[id] <= n || reason[id] != string(events.EndInterrupted) {
			t.Errorf("%s: %d revisions in the stream, reason %q, %d were accepted", id, newest[id], reason[id], n)
		}
		delete(newest, id)
	}
	if len(newest) > 0 {
		t.Errorf("unexpected events: %v", newest)
	}
	t.Logf("%d events, accepted %v", info.State.Msgs, accepted)
}

// TestAnswerLost has a publisher that died after the server stored an event and before it recorded that, and restarted after
// the server had forgotten the id. The stream must not have the event twice.
func TestAnswerLost(t *testing.T) {
	s := runServer(t, server.Options{Port: -1, JetStream: true, StoreDir: t.TempDir()})
	js, err := jetstream.New(connect(t, s.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{ // the publisher does not change an existing stream
		Name: "EVENTS", Subjects: []string{"oodcast.v1.*.*.event.>"}, Duplicates: 100 * time.Millisecond,
		MaxAge: time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	cfg := remote(t, s.ClientURL())
	reg, option := counted(t)
	t.Run("first", func(t *testing.T) {
		p := start(t, cfg, nil, option)
		p.Event(event("e", 1))
		wait(t, "the event", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 1 })
	})
	// The spool as it was just before the end of the first publisher.
	e := schema.Event{ID: "e", Revision: 1, Type: "update", Site: "default", Camera: "front"}
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"events.jsonl": append(line, '\n'), "events.sent": nil} {
		if err := os.WriteFile(filepath.Join(cfg.StateDir, "spool", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	waitForgotten(t, js)
	reg, option = counted(t)
	p := start(t, cfg, nil, option)
	p.Event(event("f", 1))
	wait(t, "three events", func() bool { return metric(t, reg, "oodcast_nats_publish_total", "event", "sent") == 3 })
	stream, info, err := eventStream(t, s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		if raw, err := stream.GetMsg(t.Context(), seq); err == nil && strings.Contains(raw.Subject, ".front.") {
			ids = append(ids, raw.Header.Get(nats.MsgIdHdr))
		}
	}
	if got := strings.Join(ids, " "); got != "e.1 e.2 f.1" { // e.2 is the end that the first publisher did not send
		t.Errorf("stream has %s, want e.1 e.2 f.1", got)
	}
}

// waitForgotten waits until the server accepts a message with the same id again.
func waitForgotten(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	send := func() bool {
		ack, err := js.Publish(t.Context(), "oodcast.v1.default.probe.event.update", nil, jetstream.WithMsgID("probe"))
		if err != nil {
			t.Fatal(err)
		}
		return ack.Duplicate
	}
	if send() {
		t.Fatal("the first message is reported as a duplicate")
	}
	wait(t, "ids to be forgotten", func() bool { return !send() })
}

// TestInterruptedIsTold kills a publisher with an open event: the next one tells the program which events have ended by that.
func TestInterruptedIsTold(t *testing.T) {
	state := t.TempDir()
	p := launch(t, "publisher", noServer, state, "killed")
	killAfter(t, p, 3)
	cfg := remote(t, noServer)
	cfg.StateDir = state
	told := make(chan []schema.Event, 1)
	start(t, cfg, nil, publish.WithInterrupted(func(ends []schema.Event) { told <- ends }))
	ends := <-told
	if len(ends) != 1 || ends[0].ID != "killed" || ends[0].Type != "end" || ends[0].Reason != "interrupted" ||
		ends[0].Origin != schema.ThisProcess() {
		t.Errorf("told of %+v", ends)
	}
}
