package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// sendEvents sends events in order until ctx is done. One that JetStream has not acknowledged is sent again: its id
// makes sure that it counts once.
func (p *Publisher) sendEvents(ctx context.Context, nc *nats.Conn) error {
	s := &eventSender{p: p, nc: nc}
	for e := range p.events.All(ctx) {
		s.send(ctx, e)
	}
	p.events.Close()
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for e := range p.events.All(rest) {
		if !s.send(rest, e) {
			p.count(schema.KindEvent, "dropped")
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

// send tries until the event is acknowledged or ctx is done, and says which.
func (s *eventSender) send(ctx context.Context, e schema.Event) bool {
	pause := 100 * time.Millisecond
	for {
		err := s.try(ctx, e)
		if err == nil {
			s.p.count(schema.KindEvent, "sent")
			s.warned = false
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
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) ||
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
