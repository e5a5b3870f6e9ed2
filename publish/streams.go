package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// answerTimeout is how long a request to JetStream may take.
const answerTimeout = 2 * time.Second

// errNoJetStream means that the server keeps nothing.
var errNoJetStream = errors.New("the server, or our account there, has no JetStream")

// eventStream keeps events for a week on disk.
func (p *Publisher) eventStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: schema.EventStream, Subjects: []string{p.cfg.Prefix + ".v1.*.*." + schema.KindEvent + ".>"},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: 7 * 24 * time.Hour, MaxBytes: 256 << 20, MaxMsgSize: 1 << 20, Duplicates: 2 * time.Minute,
		Compression: jetstream.S2Compression, AllowDirect: true,
	}
}

// mapStream keeps the last maps of each camera for a minute in memory. They come in as plain messages: nobody waits for
// an answer.
func (p *Publisher) mapStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: schema.MapStream, Subjects: []string{p.cfg.Prefix + ".v1.*.*." + schema.KindMap},
		Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 30, MaxAge: time.Minute, MaxBytes: 64 << 20, AllowDirect: true,
	}
}

// ensureStream makes a stream, unless somebody made it already: then it is left as it is, and a line says so.
func (p *Publisher) ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	there, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		making, cancel := finishing(ctx)
		defer cancel()
		there, err = js.CreateStream(making, want)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", want.Name, err)
	}
	have := there.CachedInfo().Config
	for _, subject := range have.Subjects {
		if covers(subject, want.Subjects[0]) {
			if now, ours := limitsOf(have), limitsOf(want); now != ours {
				p.faults.Warn(p.log, "a stream is used as somebody else made it",
					fmt.Errorf("%s has %s, ours would have %s", want.Name, now, ours))
			}
			return nil
		}
	}
	return fmt.Errorf("stream %s: it is there, but does not take %s: add that subject to it, or delete it",
		want.Name, want.Subjects[0])
}

// limitsOf says what decides how long a stream keeps a message.
func limitsOf(c jetstream.StreamConfig) string {
	return fmt.Sprintf("max_age %s, max_bytes %d, max_msgs_per_subject %d, retention %s, discard %s, storage %s",
		c.MaxAge, max(c.MaxBytes, 0), max(c.MaxMsgsPerSubject, 0), c.Retention, c.Discard, c.Storage)
}

// finishing returns a context for what must not be left half done when we are told to stop: an embedded server that is
// stopped while it makes a stream leaves it running.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
}

// covers tells whether every subject that matches narrow matches wide.
func covers(wide, narrow string) bool {
	w, n := strings.Split(wide, "."), strings.Split(narrow, ".")
	for i, token := range w {
		switch {
		case token == ">":
			return len(n) > i
		case i >= len(n), n[i] == ">", token != "*" && token != n[i]:
			return false
		}
	}
	return len(w) == len(n)
}

// withoutJetStream says that err means that the server has no JetStream, and not that it does not answer just now.
func withoutJetStream(nc *nats.Conn, err error) bool {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return true
	}
	has, _ := nc.ConnectedServerJetStream()
	return errors.Is(err, nats.ErrNoResponders) && !has && nc.IsConnected()
}
