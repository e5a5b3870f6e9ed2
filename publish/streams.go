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

// answerTimeout is the limit for the answer to a JetStream request.
const answerTimeout = 2 * time.Second

// errNoJetStream means that the server stores no messages.
var errNoJetStream = errors.New("the server or its account for oodcast has no JetStream")

// errForeignStream means that a stream with our name exists for other subjects.
var errForeignStream = errors.New("it exists but does not accept")

// jetStream returns the JetStream API of the server, or of the domain publish.js_domain.
func (p *Publisher) jetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	if p.cfg.JSDomain != "" {
		return jetstream.NewWithDomain(nc, p.cfg.JSDomain)
	}
	return jetstream.New(nc)
}

// sites returns the token for the site in the subjects of a stream: all sites share one, unless the server is one of several
// that are connected, each with its own domain. There, every stream with all subjects would take everyone's messages.
func (p *Publisher) sites() string {
	if p.cfg.JSDomain != "" {
		return p.cfg.Site
	}
	return "*"
}

// eventStream returns the configuration of the stream that keeps events on disk for a week.
func (p *Publisher) eventStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: p.subjects.EventStream(), Subjects: []string{p.cfg.Prefix + ".v1." + p.sites() + ".*." + schema.KindEvent + ".>"},
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxAge: 7 * 24 * time.Hour, MaxBytes: 256 << 20, MaxMsgSize: 1 << 20, Duplicates: 2 * time.Minute,
		Compression: jetstream.S2Compression, AllowDirect: true, Replicas: p.cfg.Replicas,
	}
}

// mapStream returns the configuration of the stream that keeps the last maps of each camera in memory for a minute. The
// publisher sends them as core NATS messages, without waiting for an acknowledgement.
func (p *Publisher) mapStream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: p.subjects.MapStream(), Subjects: []string{p.cfg.Prefix + ".v1." + p.sites() + ".*." + schema.KindMap},
		Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 30, MaxAge: time.Minute, MaxBytes: 64 << 20, AllowDirect: true, Replicas: p.cfg.Replicas,
	}
}

// ensureStream creates a stream. It does not change an existing one, and logs how its limits differ.
func (p *Publisher) ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		creating, cancel := uninterrupted(ctx)
		defer cancel()
		stream, err = js.CreateStream(creating, want)
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w%s", want.Name, err, overlapping(ctx, js, want, err))
	}
	have := stream.CachedInfo().Config
	for _, subject := range have.Subjects {
		if covers(subject, want.Subjects[0]) {
			if theirs, ours := describeLimits(have), describeLimits(want); theirs != ours {
				p.faults.Warn(p.log, "an existing stream has other limits",
					fmt.Errorf("%s has %s; oodcast would set %s", want.Name, theirs, ours))
			}
			p.hadStream.Store(true)
			return nil
		}
	}
	return fmt.Errorf("stream %s: %w %s: add that subject to it, or delete it", want.Name, errForeignStream, want.Subjects[0])
}

// codeSubjectsOverlap is the JetStream error for a stream with subjects that another stream takes.
const codeSubjectsOverlap jetstream.ErrorCode = 10065

// overlapping returns, if err says that another stream takes the subjects, which one it is and what to do.
func overlapping(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig, err error) string {
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != codeSubjectsOverlap {
		return ""
	}
	other, err := js.StreamNameBySubject(ctx, want.Subjects[0])
	if err != nil {
		return ""
	}
	return fmt.Sprintf(": %s has %s: remove that subject there, or choose another publish.prefix", other, want.Subjects[0])
}

// describeLimits returns the settings that decide how long a stream keeps a message.
func describeLimits(c jetstream.StreamConfig) string {
	return fmt.Sprintf("max_age %s, max_bytes %d, max_msgs_per_subject %d, retention %s, discard %s, storage %s, replicas %d",
		c.MaxAge, max(c.MaxBytes, 0), max(c.MaxMsgsPerSubject, 0), c.Retention, c.Discard, c.Storage, max(c.Replicas, 1))
}

// uninterrupted returns a context for work that must be finished even if ctx is done: an embedded server that is stopped while
// it creates a stream leaves that stream running.
func uninterrupted(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
}

// covers reports whether every subject that matches narrow also matches wide.
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

// lacksJetStream reports whether err means that the server has no JetStream, rather than that it is not answering now.
func lacksJetStream(nc *nats.Conn, err error) bool {
	if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return true
	}
	has, _ := nc.ConnectedServerJetStream()
	return errors.Is(err, nats.ErrNoResponders) && !has && nc.IsConnected()
}
