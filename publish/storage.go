package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Codes of JetStream errors that are about the message itself.
const (
	codeMessageTooLarge jetstream.ErrorCode = 10054
	codeHeaderTooLarge  jetstream.ErrorCode = 10097
)

// isPermanent reports whether the server will never accept this event, which would hold up all others. Every other answer is
// about the stream, the account or the server, which an operator can change: the event waits.
func isPermanent(err error) bool {
	var api *jetstream.APIError
	var unsupported *json.UnsupportedValueError
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &unsupported):
		return true
	case errors.As(err, &api):
		return api.ErrorCode == codeMessageTooLarge || api.ErrorCode == codeHeaderTooLarge
	}
	return false
}

// storageGrace is how long a server may be silent, for example while a cluster elects a leader, before Check reports that
// events cannot be stored. An explicit refusal is reported at once.
const storageGrace = 10 * time.Second

// storage is what is known about whether the event stream accepts events.
type storage struct {
	mu    sync.Mutex
	err   error     // the latest error; nil: the stream accepted the latest event, or exists
	since time.Time // first error since the stream was last usable
}

// failed records an error, and ok that the stream is usable.
func (s *storage) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.since = time.Now()
	}
	s.err = err
}

func (s *storage) ok() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = nil
}

// check returns why events cannot be stored.
func (s *storage) check(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || !isRefusal(s.err) && now.Sub(s.since) < storageGrace {
		return nil
	}
	return fmt.Errorf("events wait on disk because they cannot be stored: %w", s.err)
}

// isRefusal reports whether the server has answered that it does not store events as things are.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, errForeignStream) || errors.Is(err, errNoJetStream) || errors.As(err, &api) && api.Code != 503
}
