package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// ErrNoMap is returned by LastMap if no map of the camera is stored: none was made in the last minute, or the service runs
// without publish.map_stream.
var ErrNoMap = errors.New("client: no map is stored")

// LastMap returns the newest map of a camera, even if it was sent before this client existed; ROS calls that transient local.
// It requires publish.map_stream.
func (c *Client) LastMap(ctx context.Context, camera string) (Map, error) {
	js, err := jetstream.New(c.nc)
	if err != nil {
		return Map{}, err
	}
	stream, err := js.Stream(ctx, c.subjects.MapStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Map{}, ErrNoMap
	}
	if err != nil {
		return Map{}, fmt.Errorf("last map of %s: %w", camera, err)
	}
	raw, err := stream.GetLastMsgForSubject(ctx, c.subjects.Of(camera, schema.KindMap))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Map{}, ErrNoMap
	}
	if err != nil {
		return Map{}, fmt.Errorf("last map of %s: %w", camera, err)
	}
	dec, err := schema.NewDecoder()
	if err != nil {
		return Map{}, err
	}
	defer dec.Close()
	return decode(dec, raw.Data)
}
