package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// ErrNoMap is returned by LastMap when no map of the camera is kept: none was made in the last minute, or the service
// runs without publish.map_stream.
var ErrNoMap = errors.New("client: no map is kept")

// LastMap returns the newest map of a camera, made before anybody listened: what ROS calls transient local. It needs
// publish.map_stream.
func (c *Client) LastMap(ctx context.Context, camera string) (Map, error) {
	js, err := jetstream.New(c.nc)
	if err != nil {
		return Map{}, err
	}
	stream, err := js.Stream(ctx, schema.MapStream)
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
