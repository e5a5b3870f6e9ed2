package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/message"
	"github.com/oodcast/oodcast/publish/schema"
)

// Event hands over an event. When it returns, the event is in a file, and it will be sent however this process ends. Event
// first waits until Run has opened the files, so Run must have been called, and then up to 100 ms for the disk. While the disk is
// full, events are held in memory, up to a bound. An event that the spool does not accept is logged and counted as lost.
func (p *Publisher) Event(e events.Event) {
	p.metrics.events.WithLabelValues(e.Camera, string(e.Type)).Inc()
	<-p.spoolReady
	if p.cfg.Off() {
		if err := p.offline.apply(message.Event(p.cfg.Site, e)); err != nil {
			p.faults.Warn(p.log, "open events will not end if this process is killed", err, "camera", e.Camera)
		}
		return
	}
	synced, err := p.spool.add(message.Event(p.cfg.Site, e))
	if err != nil {
		p.count(schema.KindEvent, resultSpool)
		p.faults.Warn(p.log, "event lost", err, "camera", e.Camera)
		p.loss.Store(&err)
		return
	}
	p.loss.Store(nil)
	if err := p.spool.holding(); err != nil {
		p.faults.Warn(p.log, "events are held in memory until the disk takes them", err)
	}
	p.metrics.spooled.Inc()
	p.metrics.spool.Set(float64(p.spool.pending()))
	timeout := time.NewTimer(syncWait)
	defer timeout.Stop()
	select {
	case <-synced:
	case <-timeout.C:
	}
}

// endInterrupted ends the events that the previous process left open because it was killed or the machine stopped.
func (p *Publisher) endInterrupted() {
	ends, err := p.spool.endInterrupted()
	if err != nil {
		p.log.Warn("cannot end the events of the previous run", "err", err)
	}
	unpublished, err := takeOffline(p.cfg.StateDir)
	if err != nil {
		p.log.Warn("cannot end the events of the previous run", "err", err)
	}
	p.tellInterrupted(append(unpublished, ends...))
}

// retryHeld is the interval at which held events are offered to the disk again.
const retryHeld = time.Second

// syncEvents writes the events in the spool to the disk until ctx is done. All events that are added during one sync share the
// next one.
func (p *Publisher) syncEvents(ctx context.Context) error {
	retry := time.NewTicker(retryHeld)
	defer retry.Stop()
	for running := true; running; {
		select {
		case <-p.spool.unsynced:
		case <-retry.C:
			_ = p.spool.retry() // Event has logged why
			continue
		case <-ctx.Done():
			running = false
		}
		if err := p.spool.sync(); err != nil {
			p.faults.Warn(p.log, "cannot sync events to the disk, a power cut may lose them", err)
		}
	}
	return nil
}

// sendEvents sends the events in the spool, in order, until ctx is done, and then the remaining ones for at most a second.
// Events that are still left wait for the next start. An event that JetStream has not acknowledged is sent again; its id
// prevents a duplicate.
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
		case <-p.spool.added:
		case <-ctx.Done():
		}
	}
}

// sendAll sends all events in the spool, or stops when ctx is done.
func (s *eventSender) sendAll(ctx context.Context) error {
	sp := s.p.spool
	for {
		e, size, err := sp.next()
		if err != nil || size == 0 || !s.send(ctx, e) {
			return err
		}
		if err := sp.done(e, size); err != nil {
			return fmt.Errorf("event spool: %w", err)
		}
		s.p.metrics.spool.Set(float64(sp.pending()))
	}
}

// eventSender sends events and keeps what is known about the server.
type eventSender struct {
	p          *Publisher
	nc         *nats.Conn
	js         jetstream.JetStream // nil: not prepared on this connection
	connection uint64              // number of the connection that js and coreOnly belong to
	coreOnly   time.Time           // the server had no JetStream at this time: publish on core NATS; zero: it has
	noneStored bool                // the stream certainly has none of the events in the spool
}

// send retries until the event is acknowledged or permanently refused. It returns false if ctx is done first.
func (s *eventSender) send(ctx context.Context, e schema.Event) bool {
	pause := 100 * time.Millisecond
	for {
		err := s.trySend(ctx, e)
		s.noneStored = err == nil
		if err == nil {
			s.p.storage.ok()
			s.p.count(schema.KindEvent, resultSent)
			return true
		}
		if isPermanent(err) {
			s.p.count(schema.KindEvent, resultRefused)
			s.p.faults.Warn(s.p.log, "event refused", err, "camera", e.Camera)
			return true
		}
		if ctx.Err() == nil {
			if s.nc.IsConnected() {
				s.p.storage.failed(err)
			}
			s.p.faults.Warn(s.p.log, "events are waiting for nats", err)
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		case <-ctx.Done():
			return false
		}
	}
}

// trySend sends an event once. It returns nil when the stream has the event.
func (s *eventSender) trySend(ctx context.Context, e schema.Event) error {
	if !s.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	msg, err := jsonMessage(s.p.subjects.Event(e.Camera, e.Type), e, schema.TraceParent(e.Site, e.Camera, e.Time))
	if err != nil {
		return err
	}
	id := messageID(e)
	msg.Header[nats.MsgIdHdr] = []string{id}
	if !s.coreOnly.IsZero() {
		if err := s.nc.PublishMsg(msg); err != nil {
			return err
		}
		return s.nc.FlushWithContext(ctx)
	}
	if !s.noneStored {
		if stored, err := s.isStored(ctx, msg.Subject, id); stored || err != nil {
			return err
		}
	}
	return s.store(ctx, msg, id)
}

// store publishes an event to JetStream. It returns nil when our stream has it. Another stream, for example the hub's behind
// a leaf node, may take the same subject: its answer, which may arrive first, says nothing about our stream.
func (s *eventSender) store(ctx context.Context, msg *nats.Msg, id string) error {
	ack, err := s.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		s.js = nil // the stream was deleted: create it again
	}
	if err == nil && ack.Stream == s.p.subjects.EventStream() && (s.p.cfg.JSDomain == "" || ack.Domain == s.p.cfg.JSDomain) {
		return nil
	}
	if err != nil && !isPermanent(err) {
		return err
	}
	stored, largest, failed := s.lookUp(ctx, msg.Subject, id)
	switch {
	case stored:
		return nil
	case failed != nil:
		return failed
	case errors.Is(err, nats.ErrMaxPayload), err != nil && largest > 0 && storedSize(msg) > largest:
		return err
	case err != nil: // of another stream, since ours takes an event of this size
		return errors.New("another stream refuses the event: " + err.Error())
	}
	return fmt.Errorf("stream %s: it did not take the event, but %s did", s.p.subjects.EventStream(), ack.Stream)
}

// storedSize returns the size of a message as a stream counts it, in bytes.
func storedSize(m *nats.Msg) int {
	size := len("NATS/1.0\r\n") + len("\r\n") + len(m.Data)
	for key, values := range m.Header {
		for _, v := range values {
			size += len(key) + len(": ") + len(v) + len("\r\n")
		}
	}
	return size
}

// isStored reports whether the stream already has the event, because this process or the previous one sent it and did not
// receive the answer. The server detects duplicates by id for two minutes only. Looking at the last message of the subject has
// no such limit, because no further event is sent before this one is done.
func (s *eventSender) isStored(ctx context.Context, subject, id string) (bool, error) {
	stored, _, err := s.lookUp(ctx, subject, id)
	return stored, err
}

// lookUp does what isStored does, and returns the size of the largest message that the stream takes, 0 for any.
func (s *eventSender) lookUp(ctx context.Context, subject, id string) (stored bool, largest int, err error) {
	stream, err := s.js.Stream(ctx, s.p.subjects.EventStream())
	if err != nil {
		s.js = nil
		return false, 0, err
	}
	largest = max(int(stream.CachedInfo().Config.MaxMsgSize), 0)
	last, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, largest, nil
	}
	if err != nil {
		return false, largest, err
	}
	return last.Header.Get(nats.MsgIdHdr) == id, largest, nil
}

// prepare determines, once per connection, whether the server has JetStream, and creates the event stream. A server without
// JetStream is asked again, because it may only have lost those that have.
func (s *eventSender) prepare(ctx context.Context) error {
	if n := s.p.connections.Load(); n != s.connection {
		s.connection, s.js, s.coreOnly = n, nil, time.Time{}
	}
	if s.js != nil || !s.coreOnly.IsZero() && time.Since(s.coreOnly) < storageGrace {
		return nil
	}
	js, err := s.p.jetStream(s.nc)
	if err != nil {
		return err
	}
	err = s.p.ensureStream(ctx, js, s.p.eventStream())
	if lacksJetStream(s.nc, err) {
		if s.p.hadStream.Load() || s.p.cfg.JSDomain != "" {
			return errNoJetStream
		}
		s.p.faults.Warn(s.p.log, "events are not stored", errNoJetStream)
		s.coreOnly = time.Now()
		return nil
	}
	if err != nil {
		return err
	}
	s.js, s.coreOnly = js, time.Time{}
	return nil
}
