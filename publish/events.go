package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// Names of what lives in JetStream.
const (
	EventStream = "EVENTS"
	MapStream   = "MAPS"
)

// keepEvents writes events to the spool until ctx is done and those that were handed over before are written.
func (p *Publisher) keepEvents(ctx context.Context, sp *spool) error {
	keep := func(e schema.Event) {
		if err := sp.add(e); err != nil {
			p.count(schema.KindEvent, "dropped")
			p.log.Warn("event lost", "camera", e.Camera, "event", e.ID, "err", err)
		}
	}
	for e := range p.events.All(ctx) {
		keep(e)
	}
	p.events.Close()
	for e := range p.events.All(context.WithoutCancel(ctx)) {
		keep(e)
	}
	close(sp.more)
	return nil
}

// sendEvents sends what is in the spool, in order, until ctx is done, and then what is left, for a second at most; the
// rest waits for the next start. An event that JetStream has not acknowledged is sent again: its id makes sure that it
// counts once.
func (p *Publisher) sendEvents(ctx context.Context, nc *nats.Conn, sp *spool) error {
	s := &eventSender{p: p, nc: nc}
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })
	defer stop()
	for open := true; open; {
		_, open = <-sp.more
		for {
			e, size, err := sp.next()
			if err != nil {
				return err
			}
			if size == 0 {
				break
			}
			if !s.send(rest, e) {
				return nil
			}
			if err := sp.done(size); err != nil {
				return fmt.Errorf("spool of events: %w", err)
			}
		}
	}
	return nil
}

// eventSender knows whether the server has JetStream.
type eventSender struct {
	p      *Publisher
	nc     *nats.Conn
	js     jetstream.JetStream
	plain  bool // no JetStream there: core NATS
	warned bool
}

// send tries until the event is acknowledged, refused for good, or ctx is done; then it returns false.
func (s *eventSender) send(ctx context.Context, e schema.Event) bool {
	pause := 100 * time.Millisecond
	for {
		err := s.try(ctx, e)
		if err == nil {
			s.p.count(schema.KindEvent, "sent")
			s.warned = false
			return true
		}
		if refused(err) {
			s.p.count(schema.KindEvent, "refused")
			s.p.log.Warn("event refused", "camera", e.Camera, "event", e.ID, "err", err)
			return true
		}
		if !s.warned && ctx.Err() == nil {
			s.warned = true
			s.p.log.Warn("events wait for nats", "err", err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		case <-ctx.Done():
			return false
		}
	}
}

// refused says that the server will never take this event: it is in the way of the others.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) || errors.As(err, &api) && api.Code == http.StatusBadRequest
}

func (s *eventSender) try(ctx context.Context, e schema.Event) error {
	if !s.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if s.js == nil && !s.plain {
		if err := s.prepare(ctx); err != nil {
			return err
		}
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("marshal event: %w", err)
	}
	id := fmt.Sprintf("%s.%d", e.ID, e.Revision)
	msg := &nats.Msg{
		Subject: s.p.subjects.Event(e.Camera, e.Type), Data: data,
		Header: nats.Header{schema.HeaderType: {schema.JSONType}, nats.MsgIdHdr: {id}},
	}
	if s.plain {
		return s.nc.PublishMsg(msg)
	}
	_, err = s.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		s.js = nil // somebody deleted the stream: make it again
	}
	return err
}

// prepare makes the streams, unless somebody made them already: then they are left as they are.
func (s *eventSender) prepare(ctx context.Context) error {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return err
	}
	for _, cfg := range s.p.streams() {
		_, err := js.Stream(ctx, cfg.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			_, err = js.CreateStream(ctx, cfg)
		}
		if withoutJetStream(err) {
			s.p.log.Warn("nats has no jetstream: events are not stored")
			s.plain = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", cfg.Name, err)
		}
	}
	s.js = js
	return nil
}

func withoutJetStream(err error) bool {
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) ||
		errors.Is(err, nats.ErrNoResponders)
}

// streams says what is kept: events for a week on disk, and if wanted the last maps in memory.
func (p *Publisher) streams() []jetstream.StreamConfig {
	all := p.cfg.Prefix + ".v1.*.*."
	list := []jetstream.StreamConfig{{
		Name: EventStream, Subjects: []string{all + schema.KindEvent + ".>"}, Storage: jetstream.FileStorage,
		Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxAge: 7 * 24 * time.Hour, MaxBytes: 256 << 20,
		MaxMsgSize: 1 << 20, Duplicates: 2 * time.Minute, Compression: jetstream.S2Compression, AllowDirect: true,
	}}
	if p.cfg.MapStream {
		list = append(list, jetstream.StreamConfig{
			Name: MapStream, Subjects: []string{all + schema.KindMap}, Storage: jetstream.MemoryStorage,
			Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 30, MaxAge: time.Minute, MaxBytes: 64 << 20, AllowDirect: true,
		})
	}
	return list
}
