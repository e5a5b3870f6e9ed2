package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestIsPermanent has the answers of JetStream: only those about the event itself make it give the event up, and an explicit
// refusal makes the process unready at once.
func TestIsPermanent(t *testing.T) {
	api := func(code int, number jetstream.ErrorCode) error {
		return fmt.Errorf("stream EVENTS: %w", &jetstream.APIError{Code: code, ErrorCode: number, Description: "refused"})
	}
	for _, c := range []struct {
		name               string
		err                error
		permanent, unready bool
	}{
		{"message too large for the stream", api(400, 10054), true, true},
		{"headers too large", api(400, 10097), true, true},
		{"message too large for the server", fmt.Errorf("x: %w", nats.ErrMaxPayload), true, false},
		{"value that JSON does not have", fmt.Errorf("x: %w", &json.UnsupportedValueError{}), true, false},

		{"subjects overlap", api(400, 10065), false, true},
		{"maximum number of streams", api(400, 10027), false, true},
		{"resource limits of the account", api(400, 10002), false, true},
		{"wrong last sequence", api(400, 10071), false, true},
		{"wrong last sequence, replicated", api(400, 10164), false, true},
		{"wrong last message id", api(400, 10070), false, true},
		{"another stream is expected", api(400, 10060), false, true},
		{"name in use", api(400, 10058), false, true},
		{"sealed", api(400, 10109), false, true},
		{"no peers for the replicas", api(400, 10005), false, true},
		{"max bytes required", api(400, 10113), false, true},
		{"max bytes exceed the account", api(400, 10122), false, true},
		{"no limits for the replicas", api(400, 10120), false, true},
		{"bad request", api(400, 10003), false, true},
		{"invalid JSON", api(400, 10025), false, true},
		{"invalid stream", api(500, 10052), false, true},
		{"replicas without a cluster", api(500, 10074), false, true},
		{"insufficient storage", api(500, 10047), false, true},
		{"stream not found", api(404, 10059), false, true},
		{"insufficient resources", api(503, 10023), false, false},
		{"store failed", api(503, 10077), false, false},
		{"no leader", api(503, 10008), false, false},
		{"stream offline", api(500, 10118), false, true},
		{"subjects of another installation", fmt.Errorf("stream EVENTS: %w a", errForeignStream), false, true},
		{"no answer", context.DeadlineExceeded, false, false},
		{"no responders", nats.ErrNoResponders, false, false},
		{"no stream", jetstream.ErrNoStreamResponse, false, false},
		{"away", nats.ErrDisconnected, false, false},
	} {
		if got := isPermanent(c.err); got != c.permanent {
			t.Errorf("%s: permanent %v, want %v", c.name, got, c.permanent)
		}
		var s storage
		s.failed(c.err)
		if got := s.check(time.Now()) != nil; got != c.unready {
			t.Errorf("%s: unready at once %v, want %v", c.name, got, c.unready)
		}
		if err := s.check(time.Now().Add(time.Minute)); !errors.Is(err, c.err) {
			t.Errorf("%s: after a minute %v, want it as the reason", c.name, err)
		}
		s.ok()
		if err := s.check(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("%s: after an event was stored: %v", c.name, err)
		}
	}
}
