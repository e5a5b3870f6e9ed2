package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/publish/schema"
)

// Snapshot is a camera's newest frame with its overlay.
type Snapshot struct {
	Camera   string
	Captured time.Time
	JPEG     []byte
}

// Snapshots calls handle with every picture that somebody asks a camera for.
func (c *Client) Snapshots(handle func(Snapshot)) (stop func(), err error) {
	sub, err := c.nc.Subscribe(c.subjects.Of(c.camera, schema.KindSnapshot), func(m *nats.Msg) {
		captured, err := time.Parse(time.RFC3339Nano, m.Header.Get(schema.HeaderCaptureTime))
		if err != nil {
			c.fault(fmt.Errorf("%s: %w", m.Subject, err))
			return
		}
		handle(Snapshot{Camera: cameraOf(m.Subject), Captured: captured, JPEG: m.Data})
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to snapshots: %w", err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// TakeSnapshot asks a camera for a picture, which goes to everybody who listens to Snapshots.
func (c *Client) TakeSnapshot(ctx context.Context, camera string) error {
	r, err := c.ask(ctx, camera, "snapshot", nil)
	if err != nil {
		return err
	}
	return fault(r, "snapshot", camera)
}

// cameraOf is the fourth token of a subject, {prefix}.v1.{site}.{camera}.{kind}.
func cameraOf(subject string) string {
	tokens := strings.SplitN(subject, ".", 5)
	if len(tokens) < 5 {
		return ""
	}
	return tokens[3]
}
