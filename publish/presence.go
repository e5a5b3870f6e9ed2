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

// changeInterval is how often the cameras' states are compared with those published, even without a call of StatusChanged.
const changeInterval = 500 * time.Millisecond

// sendStatus publishes each camera's state when it changes, and its statistics and presence every StatusInterval.
func (p *Publisher) sendStatus(ctx context.Context, nc *nats.Conn) error {
	s := &statusSender{p: p, nc: nc}
	changes, refresh := time.NewTicker(changeInterval), time.NewTicker(p.cfg.StatusInterval)
	defer changes.Stop()
	defer refresh.Stop()
	for {
		if s.nc.IsConnected() {
			s.prepare(ctx)
			s.publishChanges(ctx)
			s.p.sendAudits(s.nc)
			s.deleteRemoved(ctx)
		}
		select {
		case <-changes.C:
		case <-p.statusChanged:
		case <-refresh.C:
			s.publishStats(ctx)
		case <-ctx.Done():
			s.p.sendAudits(s.nc)
			s.deleteAll(ctx)
			return nil
		}
	}
}

// deleteAll deletes the presence of all cameras.
func (s *statusSender) deleteAll(ctx context.Context) {
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, cam := range s.p.cameras.all() {
		s.deletePresence(rest, cam)
	}
}

// statusSender publishes states, statistics and presence, and keeps what is known about the server.
type statusSender struct {
	p           *Publisher
	nc          *nats.Conn
	connection  uint64             // number of the connection that the next three fields belong to
	prepared    bool               // the streams exist
	kv          jetstream.KeyValue // nil: not opened
	noJetStream time.Time          // the server had no JetStream at this time; zero: it has
	inbox       string             // subject on which control services answer; empty: not subscribed yet
}

// prepare creates the streams on a new connection, and makes publishChanges send every state again, because a restarted server
// has lost everything in its memory.
func (s *statusSender) prepare(ctx context.Context) {
	if n := s.p.connections.Load(); n != s.connection {
		s.connection, s.prepared, s.kv, s.noJetStream = n, false, nil, time.Time{}
		for _, cam := range s.p.cameras.all() {
			cam.lastStatus, cam.revision = schema.Status{}, 0
		}
		s.p.cameras.stopRemoved()
		s.findConflicts()
	}
	if s.prepared || s.lacksJetStream() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := s.createStreams(ctx)
	switch {
	case lacksJetStream(s.nc, err):
		s.noJetStream = time.Now()
	case err != nil && ctx.Err() == nil:
		s.p.faults.Warn(s.p.log, "nats", err)
	default:
		s.prepared = err == nil
	}
}

// lacksJetStream reports whether the server had no JetStream a moment ago. It is asked again later, because it may only have
// lost the servers that have it.
func (s *statusSender) lacksJetStream() bool {
	return !s.noJetStream.IsZero() && time.Since(s.noJetStream) < storageGrace
}

func (s *statusSender) createStreams(ctx context.Context) error {
	js, err := s.p.jetStream(s.nc)
	if err != nil {
		return err
	}
	if err := s.p.ensureStream(ctx, js, s.p.eventStream()); err != nil {
		if !lacksJetStream(s.nc, err) {
			s.p.storage.failed(err)
		}
		return err
	}
	s.p.storage.ok()
	if !s.p.cfg.MapStream {
		return nil
	}
	return s.p.ensureStream(ctx, js, s.p.mapStream())
}

// publishChanges publishes the status of every camera whose state or settings have changed.
func (s *statusSender) publishChanges(ctx context.Context) {
	for _, cam := range s.p.cameras.all() {
		now := cam.Status()
		if sameState(now, cam.lastStatus) {
			continue
		}
		err := s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStatus), now, "")
		s.p.count(schema.KindStatus, s.p.result(err))
		if err == nil {
			cam.lastStatus = now
			s.putPresence(ctx, cam, now)
		}
	}
}

// publishStats publishes statistics and refreshes the presence entries.
func (s *statusSender) publishStats(ctx context.Context) {
	for _, cam := range s.p.cameras.all() {
		if !s.nc.IsConnected() {
			s.p.count(schema.KindStats, resultAway)
			continue
		}
		now := cam.Status()
		err := s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStats), schema.StatsMessage{
			Origin: schema.ThisProcess(), Site: s.p.cfg.Site, Camera: cam.Name(), Time: now.Time, Stats: now.Stats,
		}, "")
		s.p.count(schema.KindStats, s.p.result(err))
		s.putPresence(ctx, cam, now)
	}
}

// deleteRemoved deletes the presence of removed cameras. An entry that cannot be deleted now expires.
func (s *statusSender) deleteRemoved(ctx context.Context) {
	for _, cam := range s.p.cameras.takeRemoved() {
		s.deletePresence(ctx, cam)
	}
}

// deletePresence deletes a camera's entry in the bucket if we have put it last and no other process has put it lately:
// otherwise the entry belongs to a twin, or expires.
func (s *statusSender) deletePresence(ctx context.Context, cam *publishedCamera) {
	if s.kv == nil || !s.nc.IsConnected() || cam.revision == 0 || time.Since(cam.twin) < 3*s.p.cfg.StatusInterval {
		return
	}
	s.withBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		err := kv.Delete(ctx, s.p.subjects.StatusKey(cam.Name()), jetstream.LastRevision(cam.revision))
		if isWrongRevision(err) {
			return nil
		}
		return err
	})
}

// putPresence stores a status in the bucket, where it expires unless it is refreshed. It notices when another process puts
// the same entry.
func (s *statusSender) putPresence(ctx context.Context, cam *publishedCamera, st schema.Status) {
	s.withBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		b, err := json.Marshal(st)
		if err != nil {
			return err
		}
		key := s.p.subjects.StatusKey(st.Camera)
		var revision uint64
		if cam.revision == 0 {
			revision, err = kv.Create(ctx, key, b)
		} else {
			revision, err = kv.Update(ctx, key, b, cam.revision)
		}
		if isWrongRevision(err) {
			cam.twin = time.Now()
			revision, err = kv.Put(ctx, key, b)
		}
		if err == nil {
			cam.revision = revision
		}
		return err
	})
}

// isWrongRevision reports whether err means that an entry is not at the revision that was expected.
func isWrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// withBucket calls do with the presence bucket, which it creates if necessary, and counts the result.
func (s *statusSender) withBucket(ctx context.Context, do func(context.Context, jetstream.KeyValue) error) {
	if s.lacksJetStream() {
		return
	}
	ending := ctx.Err
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var err error
	if s.kv == nil {
		s.kv, err = s.openBucket(ctx)
	}
	if err == nil {
		err = do(ctx, s.kv)
	}
	if lacksJetStream(s.nc, err) {
		s.noJetStream = time.Now()
		return
	}
	if err != nil && ending() != nil {
		return // the end of the run is no fault
	}
	if err != nil {
		s.kv = nil // open it again next time
	}
	s.p.count("presence", s.p.result(err))
}

func (s *statusSender) openBucket(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := s.p.jetStream(s.nc)
	if err != nil {
		return nil, err
	}
	want := jetstream.KeyValueConfig{
		Bucket: s.p.subjects.StatusBucket(), Description: "present cameras; entries expire",
		History: 1, TTL: 3 * s.p.cfg.StatusInterval, Storage: jetstream.MemoryStorage, MaxBytes: 8 << 20, Replicas: s.p.cfg.Replicas,
	}
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		creating, cancel := uninterrupted(ctx)
		defer cancel()
		kv, err = js.CreateKeyValue(creating, want)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", want.Bucket, err)
	}
	have, err := kv.Status(ctx)
	if err == nil && have.TTL() == 0 {
		s.p.faults.Warn(s.p.log, "presence does not expire", fmt.Errorf(
			"bucket %s has no expiry: delete it, and oodcast creates it again", want.Bucket))
	}
	if err == nil && have.TTL() > 0 && have.TTL() < want.TTL { // created by a site that refreshes more often: the entries of this one must not expire
		kv, err = js.UpdateKeyValue(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", want.Bucket, err)
	}
	return kv, nil
}

// sameState reports whether a and b differ in nothing but counters and times.
func sameState(a, b schema.Status) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Hint == b.Hint && a.Paused == b.Paused && a.Since.Equal(b.Since) &&
		a.Threshold == b.Threshold && a.LatencyBudget == b.LatencyBudget &&
		a.TimestepsMin == b.TimestepsMin && a.TimestepsMax == b.TimestepsMax && a.TimestepsOffered == b.TimestepsOffered &&
		a.Timesteps.N == b.Timesteps.N && a.Timesteps.Auto == b.Timesteps.Auto &&
		fmt.Sprint(a.Timesteps.List) == fmt.Sprint(b.Timesteps.List) &&
		a.Width == b.Width && a.Height == b.Height && a.Bundle == b.Bundle && a.BundleVersion == b.BundleVersion && a.Provider == b.Provider &&
		a.ConfigFault == b.ConfigFault
}
