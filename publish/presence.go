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
	s := &statusSender{p: p, nc: nc, last: make([]schema.Status, len(p.cameras))}
	changes, refresh := time.NewTicker(changeInterval), time.NewTicker(p.cfg.StatusInterval)
	defer changes.Stop()
	defer refresh.Stop()
	for {
		s.changes(ctx)
		select {
		case <-changes.C:
		case <-p.poke:
		case <-refresh.C:
			s.refresh(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// statusSender remembers what was said last.
type statusSender struct {
	p    *Publisher
	nc   *nats.Conn
	last []schema.Status
	kv   jetstream.KeyValue
	none bool // the server has no JetStream
}

// changes publishes the cameras whose state or settings are news.
func (s *statusSender) changes(ctx context.Context) {
	for i, cam := range s.p.cameras {
		now := cam.Status()
		if sameState(now, s.last[i]) || !s.nc.IsConnected() {
			continue
		}
		s.last[i] = now
		s.p.count(schema.KindStatus, s.p.result(s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStatus), now)))
		s.present(ctx, now)
	}
}

// refresh publishes statistics and keeps the presence entries alive.
func (s *statusSender) refresh(ctx context.Context) {
	for _, cam := range s.p.cameras {
		if !s.nc.IsConnected() {
			return
		}
		now := cam.Status()
		s.p.count(
			schema.KindStats, s.p.result(s.p.publishJSON(s.nc, s.p.subjects.Of(cam.Name(), schema.KindStats), now.Stats)),
		)
		s.present(ctx, now)
	}
}

// present stores a status in the bucket, where it expires when it is not renewed.
func (s *statusSender) present(ctx context.Context, st schema.Status) {
	if s.none {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := s.put(ctx, st)
	if withoutJetStream(err) {
		s.none = true
		return
	}
	if err != nil && ctx.Err() == nil {
		s.kv = nil // opened anew next time
	}
	s.p.count("presence", s.p.result(err))
}

func (s *statusSender) put(ctx context.Context, st schema.Status) error {
	if s.kv == nil {
		js, err := jetstream.New(s.nc)
		if err != nil {
			return err
		}
		kv, err := js.KeyValue(ctx, s.p.cfg.StatusBucket())
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket: s.p.cfg.StatusBucket(), Description: "cameras that are there; entries expire",
				History: 1, TTL: 3 * s.p.cfg.StatusInterval, Storage: jetstream.MemoryStorage,
			})
		}
		if err != nil {
			return fmt.Errorf("bucket %s: %w", s.p.cfg.StatusBucket(), err)
		}
		s.kv = kv
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	_, err = s.kv.Put(ctx, s.p.cfg.Site+"."+st.Camera, b)
	return err
}

// sameState says that nothing but counters and times differs.
func sameState(a, b schema.Status) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Paused == b.Paused && a.Since.Equal(b.Since) &&
		a.Threshold == b.Threshold && a.LatencyBudget == b.LatencyBudget && a.TimestepsMax == b.TimestepsMax &&
		a.Timesteps.N == b.Timesteps.N && a.Timesteps.Auto == b.Timesteps.Auto &&
		fmt.Sprint(a.Timesteps.List) == fmt.Sprint(b.Timesteps.List) &&
		a.Width == b.Width && a.Height == b.Height && a.Bundle == b.Bundle && a.Provider == b.Provider
}
