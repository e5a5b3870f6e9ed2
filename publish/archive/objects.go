package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// objects is a place in a JetStream object store. The bucket is made when it is first needed.
type objects struct {
	bucket string
	maxAge time.Duration
	dial   func() (*nats.Conn, error)
	mu     struct {
		sync.Mutex
		store jetstream.ObjectStore
	}
}

const objectTimeout = 5 * time.Second

// open returns the bucket, made with our limits unless it is there.
func (o *objects) open(ctx context.Context) (jetstream.ObjectStore, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	nc, err := o.dial()
	if err != nil {
		return nil, err
	}
	if !nc.IsConnected() { // at once: every file would wait for its time to be up
		return nil, nats.ErrDisconnected
	}
	if o.mu.store != nil {
		return o.mu.store, nil
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	store, err := js.ObjectStore(ctx, o.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		store, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: o.bucket, Description: "evidence of oodcast's events", TTL: o.maxAge, Storage: jetstream.FileStorage,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w", o.bucket, err)
	}
	o.mu.store = store
	return store, nil
}

// with runs do on the bucket, with a limit on its time. A bucket that somebody deleted is made again the next time.
func (o *objects) with(ctx context.Context, do func(context.Context, jetstream.ObjectStore) error) error {
	ctx, cancel := context.WithTimeout(ctx, objectTimeout)
	defer cancel()
	store, err := o.open(ctx)
	if err == nil {
		err = do(ctx, store)
	}
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return fs.ErrNotExist
	}
	if err != nil {
		o.mu.Lock()
		o.mu.store = nil
		o.mu.Unlock()
	}
	return err
}

func (o *objects) put(ctx context.Context, name string, data []byte) error {
	return o.with(ctx, func(ctx context.Context, s jetstream.ObjectStore) error {
		_, err := s.Put(ctx, jetstream.ObjectMeta{Name: name}, bytes.NewReader(data))
		return err
	})
}

func (o *objects) get(ctx context.Context, name string) (data []byte, err error) {
	err = o.with(ctx, func(ctx context.Context, s jetstream.ObjectStore) error {
		data, err = s.GetBytes(ctx, name)
		return err
	})
	return data, err
}

func (o *objects) list(ctx context.Context) (all []kept, err error) {
	err = o.with(ctx, func(ctx context.Context, s jetstream.ObjectStore) error {
		infos, err := s.List(ctx)
		if errors.Is(err, jetstream.ErrNoObjectsFound) {
			return nil
		}
		index := map[string]int{}
		for _, info := range infos {
			id, file, at, ok := parseName(info.Name)
			if !ok || file == "" {
				continue
			}
			i, seen := index[id]
			if !seen {
				i = len(all)
				index[id] = i
				all = append(all, kept{id: id, folder: path.Dir(info.Name), at: at})
			}
			all[i].bytes += int64(info.Size)
			all[i].files = append(all[i].files, file)
		}
		return err
	})
	return all, err
}

func (o *objects) remove(ctx context.Context, k kept) error {
	return o.with(ctx, func(ctx context.Context, s jetstream.ObjectStore) error {
		for _, f := range k.files {
			if err := s.Delete(ctx, path.Join(k.folder, f)); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
				return err
			}
		}
		return nil
	})
}
