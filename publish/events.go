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

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// Event takes over an event: when it returns, the event is in a file and is sent sooner or later, however this process
// ends. It waits for the disk as well, as far as that takes less than a tenth of a second; and until Run, which must have
// been called, has opened the files. An event that the spool does not take is logged and counted as lost.
func (p *Publisher) Event(e events.Event) {
	p.metrics.events.WithLabelValues(e.Camera, string(e.Type)).Inc()
	if p.cfg.Off() {
		return
	}
	<-p.opened
	synced, err := p.spool.add(message.Event(p.cfg.Site, e))
	if err != nil {
		p.count(schema.KindEvent, resultSpool)
		p.faults.Warn(p.log, "event lost", err, "camera", e.Camera)
		return
	}
	p.metrics.spooled.Inc()
	p.metrics.spool.Set(float64(p.spool.pending()))
	patience := time.NewTimer(syncWait)
	defer patience.Stop()
	select {
	case <-synced:
	case <-patience.C:
	}
}

// endInterrupted ends the events that the process before could not: it was killed, or the machine stopped.
func (p *Publisher) endInterrupted() {
	n, err := p.spool.endInterrupted()
	if err != nil {
		p.log.Warn("events of the run before stay open", "err", err)
	} else if n > 0 {
		p.log.Info("events of the run before have ended with it", "events", n)
	}
}

// syncEvents brings the events of the spool to the disk until ctx is done. Cameras whose events come while it waits for
// the disk share the next turn.
func (p *Publisher) syncEvents(ctx context.Context) error {
	for on := true; on; {
		select {
		case <-p.spool.dirty:
		case <-ctx.Done():
			on = false
		}
		if err := p.spool.sync(); err != nil {
			p.faults.Warn(p.log, "events do not reach the disk, a power cut may take them", err)
		}
	}
	return nil
}

// sendEvents sends what is in the spool, in order, until ctx is done, and then what is left, for a second at most; the
// rest waits for the next start. An event that JetStream has not acknowledged is sent again: its id makes sure that it
// counts once.
func (p *Publisher) sendEvents(ctx context.Context, nc *nats.Conn) error {
	s := &eventSender{p: p, nc: nc}
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })
	defer stop()
	for {
		last := ctx.Err() != nil
		if err := s.sendAll(rest); err != nil || last {
			return err
		}
		select {
		case <-p.spool.more:
		case <-ctx.Done():
		}
	}
}

// sendAll empties the spool, as far as ctx allows.
func (s *eventSender) sendAll(ctx context.Context) error {
	sp := s.p.spool
	for {
		e, size, err := sp.next()
		if err != nil || size == 0 || !s.send(ctx, e) {
			return err
		}
		if err := sp.done(e, size); err != nil {
			return fmt.Errorf("spool of events: %w", err)
		}
		s.p.metrics.spool.Set(float64(sp.pending()))
	}
}

// eventSender knows what the server has.
type eventSender struct {
	p          *Publisher
	nc         *nats.Conn
	js         jetstream.JetStream // nil: not asked yet on this connection
	connection uint64              // that js and plain belong to
	plain      bool                // no JetStream there: core NATS
	sure       bool                // the stream has no event of the spool yet
}

// send tries until the event is acknowledged, refused for good, or ctx is done; then it returns false.
func (s *eventSender) send(ctx context.Context, e schema.Event) bool {
	pause := 100 * time.Millisecond
	for {
		err := s.try(ctx, e)
		s.sure = err == nil
		if err == nil {
			s.p.count(schema.KindEvent, resultSent)
			return true
		}
		if refused(err) {
			s.p.count(schema.KindEvent, resultRefused)
			s.p.faults.Warn(s.p.log, "event refused", err, "camera", e.Camera)
			return true
		}
		if ctx.Err() == nil {
			s.p.faults.Warn(s.p.log, "events wait for nats", err)
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

// try sends an event once. It returns nil when the stream has it.
func (s *eventSender) try(ctx context.Context, e schema.Event) error {
	if !s.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("marshal event: %w", err)
	}
	id := messageID(e)
	msg := &nats.Msg{
		Subject: s.p.subjects.Event(e.Camera, e.Type), Data: data,
		Header: nats.Header{
			schema.HeaderType: {schema.JSONType}, nats.MsgIdHdr: {id},
			schema.HeaderTrace: {schema.TraceParent(e.Site, e.Camera, e.Time)},
		},
	}
	if s.plain {
		if err := s.nc.PublishMsg(msg); err != nil {
			return err
		}
		return s.nc.FlushWithContext(ctx)
	}
	if !s.sure {
		if has, err := s.stored(ctx, msg.Subject, id); has || err != nil {
			return err
		}
	}
	_, err = s.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		s.js = nil // somebody deleted the stream: make it again
	}
	return err
}

// stored tells whether the stream has the event already: it was sent, but this process or the one before did not live
// to see the answer. The server recognises repetitions by their id only for two minutes; this holds however long the
// answer was lost, because nothing is sent behind an event before it is done.
func (s *eventSender) stored(ctx context.Context, subject, id string) (bool, error) {
	stream, err := s.js.Stream(ctx, schema.EventStream)
	if err != nil {
		s.js = nil
		return false, err
	}
	last, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return last.Header.Get(nats.MsgIdHdr) == id, nil
}

// prepare finds out, once for each connection, whether there is JetStream, and makes the stream of events.
func (s *eventSender) prepare(ctx context.Context) error {
	if n := s.p.connections.Load(); n != s.connection {
		s.connection, s.js, s.plain = n, nil, false
	}
	if s.js != nil || s.plain {
		return nil
	}
	js, err := jetstream.New(s.nc)
	if err != nil {
		return err
	}
	err = s.p.ensureStream(ctx, js, s.p.eventStream())
	if withoutJetStream(s.nc, err) {
		s.p.faults.Warn(s.p.log, "events are not stored", errNoJetStream)
		s.plain = true
		return nil
	}
	if err != nil {
		return err
	}
	s.js = js
	return nil
}
