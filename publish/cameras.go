package publish

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish/schema"
)

// cameras are those that the publisher speaks for, in the order in which they came.
type cameras struct {
	mu struct {
		sync.Mutex
		list  []*member
		gone  []string        // their presence is to be taken back
		stale []micro.Service // of cameras that went while the server was away
		nc    *nats.Conn      // while Run runs
	}
}

// AddCamera makes the publisher speak for one more camera: state, presence, control and metrics.
func (p *Publisher) AddCamera(cam schema.Camera) error {
	name := cam.Name()
	if err := schema.CheckName(name); err != nil {
		return fmt.Errorf("publish: camera %w", err)
	}
	if err := p.cameras.add(cam, p.newService); err != nil {
		return err
	}
	p.metrics.cameras.add(cam)
	p.StatusChanged()
	return nil
}

// RemoveCamera makes the publisher forget a camera: its control service ends, its presence is taken back and its series
// leave the metrics. Maps and events that were handed over before are still sent.
func (p *Publisher) RemoveCamera(name string) error {
	if err := p.cameras.remove(name); err != nil {
		return err
	}
	p.metrics.forget(name)
	p.StatusChanged()
	return nil
}

// member is a camera and what the publisher keeps about it.
type member struct {
	schema.Camera
	service micro.Service // while Run runs
	last    schema.Status // as published last; only the status loop touches it
}

// add appends a camera and, while connected, makes its control service.
func (c *cameras) add(cam schema.Camera, serve func(*nats.Conn, schema.Camera) (micro.Service, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.mu.list {
		if m.Name() == cam.Name() {
			return fmt.Errorf("publish: two cameras are named %q", cam.Name())
		}
	}
	m := &member{Camera: cam}
	if c.mu.nc != nil {
		var err error
		if m.service, err = serve(c.mu.nc, cam); err != nil {
			return err
		}
	}
	c.mu.list = append(c.mu.list, m)
	return nil
}

// remove takes a camera out and ends its control service: while the server is away, as soon as it is back, because
// subscriptions that end in between are made again on the server and take requests that nobody answers (nats.go 1.55).
func (c *cameras) remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.mu.list, func(m *member) bool { return m.Name() == name })
	if i < 0 {
		return fmt.Errorf("publish: no camera is named %q", name)
	}
	if s := c.mu.list[i].service; s != nil {
		c.mu.stale = append(c.mu.stale, s)
		if c.mu.nc.IsConnected() {
			c.endStale()
		}
	}
	c.mu.list = slices.Delete(c.mu.list, i, i+1)
	c.mu.gone = append(c.mu.gone, name)
	return nil
}

// endStale ends the services of cameras that went. The caller holds the lock.
func (c *cameras) endStale() {
	for _, s := range c.mu.stale {
		_ = s.Stop() // only fails on a connection that is closed already
	}
	c.mu.stale = nil
}

// connected says that the server is there, maybe again.
func (c *cameras) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endStale()
}

// all returns the cameras of now.
func (c *cameras) all() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.list)
}

// takeGone returns the names of cameras that were removed since the last call and did not come back.
func (c *cameras) takeGone() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := slices.DeleteFunc(c.mu.gone, func(name string) bool {
		return slices.ContainsFunc(c.mu.list, func(m *member) bool { return m.Name() == name })
	})
	c.mu.gone = nil
	return gone
}

// has tells whether a control service is one of ours.
func (c *cameras) has(service string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.mu.list, func(m *member) bool {
		return m.service != nil && m.service.Info().ID == service
	})
}

// findTwins asks who is on the bus, and warns when another process speaks for a camera of the same site and name: subscribers
// would see the maps of both in turn, and a request would reach one of them. Answers come on one subscription for the life
// of the connection, which outlasts servers.
func (s *statusSender) findTwins() {
	var err error
	if s.inbox == "" {
		inbox := s.nc.NewInbox()
		if _, err = s.nc.Subscribe(inbox, s.p.twin); err == nil {
			s.inbox = inbox
		}
	}
	if err == nil {
		err = s.nc.PublishRequest("$SRV.PING.oodcast", s.inbox, nil)
	}
	if err != nil {
		s.p.faults.Warn(s.p.log, "nats", err)
	}
}

// twin looks at the answer of one control service.
func (p *Publisher) twin(m *nats.Msg) {
	var there micro.Ping
	if json.Unmarshal(m.Data, &there) != nil || there.Metadata["prefix"] != p.cfg.Prefix ||
		there.Metadata["site"] != p.cfg.Site || p.cameras.has(there.ID) {
		return
	}
	for _, cam := range p.cameras.all() {
		if cam.Name() == there.Metadata["camera"] {
			p.faults.Warn(p.log, "two oodcast publish the same camera", fmt.Errorf(
				"another one has %s: give one of them another publish.site or camera name", p.subjects.Of(cam.Name(), "*")))
		}
	}
}

// serve makes the control services of all cameras on nc, and from now on those of cameras that are added.
func (c *cameras) serve(nc *nats.Conn, serve func(*nats.Conn, schema.Camera) (micro.Service, error)) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nc = nc
	for _, m := range c.mu.list {
		if m.service, err = serve(nc, m.Camera); err != nil {
			return err
		}
	}
	return nil
}

// stop ends all control services.
func (c *cameras) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nc = nil
	c.endStale()
	for _, m := range c.mu.list {
		if m.service != nil {
			_ = m.service.Stop() // only fails on a connection that is closed already
			m.service = nil
		}
	}
}
