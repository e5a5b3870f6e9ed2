package client

import (
	"context"
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

// Snapshots calls handle for every picture that any client requests from a camera.
func (c *Client) Snapshots(handle func(Snapshot)) (stop func(), err error) {
	return subscribe(c, schema.KindSnapshot, parseSnapshot, handle)
}

func parseSnapshot(m *nats.Msg) (Snapshot, error) {
	captured, err := time.Parse(time.RFC3339Nano, m.Header.Get(schema.HeaderCaptureTime))
	return Snapshot{Camera: cameraOf(m.Subject), Captured: captured, JPEG: m.Data}, err
}

// TakeSnapshot requests a picture from a camera. Every client that subscribes with Snapshots receives it.
func (c *Client) TakeSnapshot(ctx context.Context, camera string) error {
	r, err := c.ask(ctx, camera, "snapshot", nil)
	if err != nil {
		return err
	}
	return fault(r, "snapshot", camera)
}

// cameraOf returns the fourth token of a subject, {prefix}.v1.{site}.{camera}.{kind}.
func cameraOf(subject string) string {
	tokens := strings.SplitN(subject, ".", 5)
	if len(tokens) < 5 {
		return ""
	}
	return tokens[3]
}
