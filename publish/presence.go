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

// StatusBucket is the key-value bucket with one entry, {site}.{camera}, for each camera that is there.
func (c Config) StatusBucket() string { return c.Prefix + "_status" }

// changeInterval is how often cameras are asked whether their state changed, when nobody says so earlier.
const changeInterval = 500 * time.Millisecond

// sendStatus publishes each camera's state when it changes, and refreshes presence and statistics every StatusInterval.
func (p *Publisher) sendStatus(ctx context.Context, nc *nats.Conn) error {
	s := &statusSender{p: p, nc: nc}
	changes, refresh := time.NewTicker(changeInterval), time.NewTicker(p.cfg.StatusInterval)
	defer changes.Stop()
	defer refresh.Stop()
	for {
		if s.nc.IsConnected() {
			s.meet(ctx)
			s.changes(ctx)
			s.farewell(ctx)
		}
		select {
		case <-changes.C:
		case <-p.poke:
		case <-refresh.C:
			s.refresh(ctx)
		case <-ctx.Done():
			s.leave(ctx)
			return nil
		}
	}
}

// leave takes back the presence of all cameras.
func (s *statusSender) leave(ctx context.Context) {
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	for _, cam := range s.p.cameras.all() {
		s.absent(rest, cam.Name())
	}
}

// statusSender tells who is there.
type statusSender struct {
	p          *Publisher
	nc         *nats.Conn
	connection uint64             // that the rest belongs to
	met        bool               // the streams are there
	kv         jetstream.KeyValue // nil: to be opened
	none       bool               // the server has no JetStream
	inbox      string             // where control services answer; empty: not subscribed yet
}

// meet makes the streams on a new connection, and has every state told again: a server that was restarted has lost what
// it kept in memory.
func (s *statusSender) meet(ctx context.Context) {
	if n := s.p.connections.Load(); n != s.connection {
		s.connection, s.met, s.kv, s.none = n, false, nil, false
		for _, cam := range s.p.cameras.all() {
			cam.last = schema.Status{}
		}
		s.p.cameras.connected()
		s.findTwins()
	}
	if s.met || s.none {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	err := s.makeStreams(ctx)
	switch {
	case withoutJetStream(s.nc, err):
		s.none = true
	case err != nil && ctx.Err() == nil:
		s.p.faults.Warn(s.p.log, "nats", err)
	default:
		s.met = err == nil
	}
}

func (s *statusSender) makeStreams(ctx context.Context) error {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return err
	}
	if err := s.p.ensureStream(ctx, js, s.p.eventStream()); err != nil || !s.p.cfg.MapStream {
		return err
	}
	return s.p.ensureStream(ctx, js, s.p.mapStream())
}

// changes publishes the cameras whose state or settings are news.
func (s *statusSender) changes(ctx context.Context) {
	for _, cam := range s.p.cameras.all() {
		now := cam.Status()
		if sameState(now, cam.last) {
			continue
		}
		err := s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStatus), now, "")
		s.p.count(schema.KindStatus, s.p.result(err))
		if err == nil {
			cam.last = now
			s.present(ctx, now)
		}
	}
}

// refresh publishes statistics and keeps the presence entries alive.
func (s *statusSender) refresh(ctx context.Context) {
	for _, cam := range s.p.cameras.all() {
		if !s.nc.IsConnected() {
			s.p.count(schema.KindStats, resultAway)
			continue
		}
		now := cam.Status()
		err := s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStats), now.Stats, "")
		s.p.count(schema.KindStats, s.p.result(err))
		s.present(ctx, now)
	}
}

// farewell takes back the presence of cameras that were removed. When that is not possible now, it expires.
func (s *statusSender) farewell(ctx context.Context) {
	for _, name := range s.p.cameras.takeGone() {
		s.absent(ctx, name)
	}
}

// absent deletes a camera's entry in the bucket.
func (s *statusSender) absent(ctx context.Context, camera string) {
	if s.kv == nil || !s.nc.IsConnected() {
		return // nothing of ours is there, or it expires
	}
	s.inBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		return kv.Delete(ctx, s.p.cfg.Site+"."+camera)
	})
}

// present stores a status in the bucket, where it expires when it is not renewed.
func (s *statusSender) present(ctx context.Context, st schema.Status) {
	s.inBucket(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		b, err := json.Marshal(st)
		if err != nil {
			return err
		}
		_, err = kv.Put(ctx, s.p.cfg.Site+"."+st.Camera, b)
		return err
	})
}

// inBucket does something with the bucket of presence, which is made when it is not there, and counts how that went.
func (s *statusSender) inBucket(ctx context.Context, do func(context.Context, jetstream.KeyValue) error) {
	if s.none {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var err error
	if s.kv == nil {
		s.kv, err = s.bucket(ctx)
	}
	if err == nil {
		err = do(ctx, s.kv)
	}
	if withoutJetStream(s.nc, err) {
		s.none = true
		return
	}
	if err != nil {
		s.kv = nil // opened anew next time
	}
	s.p.count("presence", s.p.result(err))
}

func (s *statusSender) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return nil, err
	}
	want := jetstream.KeyValueConfig{
		Bucket: s.p.cfg.StatusBucket(), Description: "cameras that are there; entries expire",
		History: 1, TTL: 3 * s.p.cfg.StatusInterval, Storage: jetstream.MemoryStorage, MaxBytes: 8 << 20,
	}
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		making, cancel := finishing(ctx)
		defer cancel()
		kv, err = js.CreateKeyValue(making, want)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", want.Bucket, err)
	}
	have, err := kv.Status(ctx)
	if err == nil && have.TTL() == 0 {
		s.p.faults.Warn(s.p.log, "cameras that are gone stay present", fmt.Errorf(
			"bucket %s was made without expiry: delete it, and it is made again", want.Bucket))
	}
	if err == nil && have.TTL() > 0 && have.TTL() < want.TTL { // of a site that refreshes more often: ours must not expire
		kv, err = js.UpdateKeyValue(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", want.Bucket, err)
	}
	return kv, nil
}

// sameState says that nothing but counters and times differs.
func sameState(a, b schema.Status) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Hint == b.Hint && a.Paused == b.Paused && a.Since.Equal(b.Since) &&
		a.Threshold == b.Threshold && a.LatencyBudget == b.LatencyBudget &&
		a.TimestepsMin == b.TimestepsMin && a.TimestepsMax == b.TimestepsMax && a.TimestepsOffered == b.TimestepsOffered &&
		a.Timesteps.N == b.Timesteps.N && a.Timesteps.Auto == b.Timesteps.Auto &&
		fmt.Sprint(a.Timesteps.List) == fmt.Sprint(b.Timesteps.List) &&
		a.Width == b.Width && a.Height == b.Height && a.Bundle == b.Bundle && a.BundleVersion == b.BundleVersion && a.Provider == b.Provider &&
		a.ConfigFault == b.ConfigFault
}
