package publish

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/oodcast/oodcast/publish/schema"
)

// cameras are the cameras that the publisher publishes, in the order in which they were added.
type cameras struct {
	mu struct {
		sync.Mutex
		list            []*publishedCamera
		removed         []*publishedCamera // whose presence is still to be deleted
		removedServices []micro.Service    // services of cameras that were removed while the server was away
		nc              *nats.Conn         // set while Run runs
	}
}

// publishedCamera is a camera with its control service and its last status.
type publishedCamera struct {
	schema.Camera
	service micro.Service // set while Run runs

	// Only the status loop uses these.
	lastStatus schema.Status // the status published last
	revision   uint64        // of the presence entry that we have put last; 0: none on this connection
	twin       time.Time     // when another process was last seen to put the entry
}

// serviceFunc starts the control service of a camera on a connection.
type serviceFunc func(*nats.Conn, schema.Camera) (micro.Service, error)

// AddCamera adds a camera: from now on the publisher sends its state, presence and metrics, and answers its control requests.
func (p *Publisher) AddCamera(cam schema.Camera) error {
	name := cam.Name()
	if err := schema.CheckName(name); err != nil {
		return fmt.Errorf("publish: camera %w", err)
	}
	if err := p.cameras.add(cam, p.newService); err != nil {
		return err
	}
	p.cameras.flush()
	p.restoreSettings(cam)
	p.metrics.cameras.add(cam)
	p.StatusChanged()
	return nil
}

// RemoveCamera removes a camera: its control service ends, its presence is deleted and its series leave the metrics. Maps and
// events that were handed over earlier are still sent.
func (p *Publisher) RemoveCamera(name string) error {
	if err := p.cameras.remove(name); err != nil {
		return err
	}
	p.metrics.forget(name)
	p.StatusChanged()
	return nil
}

// add appends a camera and starts its control service if Run runs.
func (c *cameras) add(cam schema.Camera, create serviceFunc) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.mu.list {
		if other.Name() == cam.Name() {
			return fmt.Errorf("publish: two cameras are named %q", cam.Name())
		}
	}
	added := &publishedCamera{Camera: cam}
	if c.mu.nc != nil {
		var err error
		if added.service, err = create(c.mu.nc, cam); err != nil {
			return err
		}
	}
	c.mu.list = append(c.mu.list, added)
	return nil
}

// remove removes a camera and stops its control service. While the server is away, the service is stopped on reconnection:
// a subscription that ends during an outage is made again on the server and takes requests that nothing answers (nats.go
// 1.55).
func (c *cameras) remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.mu.list, func(cam *publishedCamera) bool { return cam.Name() == name })
	if i < 0 {
		return fmt.Errorf("publish: no camera is named %q", name)
	}
	if s := c.mu.list[i].service; s != nil {
		c.mu.removedServices = append(c.mu.removedServices, s)
		if c.mu.nc.IsConnected() {
			c.stopRemovedLocked()
		}
	}
	gone := c.mu.list[i]
	c.mu.list = slices.Delete(c.mu.list, i, i+1)
	c.mu.removed = append(c.mu.removed, gone)
	return nil
}

// stopRemoved stops the services of removed cameras. The server must be connected.
func (c *cameras) stopRemoved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopRemovedLocked()
}

func (c *cameras) stopRemovedLocked() {
	for _, s := range c.mu.removedServices {
		_ = s.Stop() // fails only on a closed connection
	}
	c.mu.removedServices = nil
}

// all returns the current cameras.
func (c *cameras) all() []*publishedCamera {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.list)
}

// takeRemoved returns the cameras that were removed since the last call and were not added again.
func (c *cameras) takeRemoved() []*publishedCamera {
	c.mu.Lock()
	defer c.mu.Unlock()
	removed := slices.DeleteFunc(c.mu.removed, func(gone *publishedCamera) bool {
		return slices.ContainsFunc(c.mu.list, func(cam *publishedCamera) bool { return cam.Name() == gone.Name() })
	})
	c.mu.removed = nil
	return removed
}

// ownsService reports whether this publisher runs the control service with this id.
func (c *cameras) ownsService(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.mu.list, func(cam *publishedCamera) bool {
		return cam.service != nil && cam.service.Info().ID == id
	})
}

// startServices starts the control services of all cameras on nc. Cameras that are added later start theirs at once.
func (c *cameras) startServices(nc *nats.Conn, create serviceFunc) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nc = nc
	for _, cam := range c.mu.list {
		if cam.service, err = create(nc, cam.Camera); err != nil {
			return err
		}
	}
	return nil
}

// flush waits until a connected server knows the subscriptions: whoever hears of a camera may send it a request.
func (c *cameras) flush() {
	c.mu.Lock()
	nc := c.mu.nc
	c.mu.Unlock()
	if nc != nil && nc.IsConnected() {
		_ = nc.FlushTimeout(readyTimeout) // a server that is slow learns of them later
	}
}

// stopServices stops all control services.
func (c *cameras) stopServices() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.nc = nil
	c.stopRemovedLocked()
	for _, cam := range c.mu.list {
		if cam.service != nil {
			_ = cam.service.Stop() // fails only on a closed connection
			cam.service = nil
		}
	}
}
