package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/oodcast/oodcast/publish/schema"
)

// Cameras returns the status of the cameras that are present now, by name. They are the entries of the presence bucket, which
// expire when their service ends. Cameras requires JetStream on the server.
func (c *Client) Cameras(ctx context.Context) ([]schema.Status, error) {
	js, err := jetstream.New(c.nc)
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, c.subjects.StatusBucket())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil // no camera has been present yet
	}
	if err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	keys, err := c.presenceKeys(ctx, js)
	if err != nil {
		return nil, fmt.Errorf("presence: %w", err)
	}
	slices.Sort(keys)
	var list []schema.Status
	for _, key := range keys {
		site, camera, _ := strings.Cut(key, ".")
		if c.subjects.Site != "*" && site != c.subjects.Site || c.camera != "*" && camera != c.camera {
			continue
		}
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // the entry has expired meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("presence of %s: %w", key, err)
		}
		var st schema.Status
		if err := json.Unmarshal(entry.Value(), &st); err != nil {
			c.fault(fmt.Errorf("presence of %s: %w", key, err))
			continue
		}
		list = append(list, st)
	}
	return list, nil
}

// presenceKeys returns the keys in the bucket, also deleted ones. It asks for the subjects of the bucket's stream, because
// that takes fewer permissions than a consumer.
func (c *Client) presenceKeys(ctx context.Context, js jetstream.JetStream) (keys []string, err error) {
	bucket := c.subjects.StatusBucket()
	stream, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("$KV."+bucket+".>"))
	if err != nil {
		return nil, err
	}
	for subject := range info.State.Subjects {
		keys = append(keys, strings.TrimPrefix(subject, "$KV."+bucket+"."))
	}
	return keys, nil
}
