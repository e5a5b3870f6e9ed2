package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// objects is a bucket of a JetStream object store.
type objects struct {
	bucket string
	dial   func() (*nats.Conn, error)
	mu     struct {
		sync.Mutex
		open *bucket // the last one that worked
	}
}

// bucket is the bucket, opened on one connection.
type bucket struct {
	bucket string
	nc     *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream // holds the objects
	store  jetstream.ObjectStore
	limit  int64  // bound of our files, in bytes; 0: none
	asked  limits // applied last
}

// limits bound the age and the size of a bucket; zero: unbounded.
type limits struct {
	age   time.Duration
	bytes int64
}

// madeByUs is the description of buckets that we have made. We change the limits of no other.
const madeByUs = "evidence of oodcast's events"

// requestTimeout bounds one request; an object takes several.
const requestTimeout = 5 * time.Second

// ready returns the bucket with these limits, and makes it if need be. A bucket made by somebody else keeps its limits.
func (o *objects) ready(ctx context.Context, want limits) (*bucket, error) {
	b, err := o.bind(ctx)
	if err == nil && b.asked == want {
		return b, nil
	}
	if err == nil || errors.Is(err, jetstream.ErrBucketNotFound) {
		b, err = o.limit(ctx, want, err == nil)
	}
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w", o.bucket, err)
	}
	return b, nil
}

// bind returns the bucket, or jetstream.ErrBucketNotFound.
func (o *objects) bind(ctx context.Context) (*bucket, error) {
	nc, err := o.dial()
	if err != nil {
		return nil, err
	}
	if !nc.IsConnected() { // fail at once, or every file would wait for its timeout
		return nil, nats.ErrDisconnected
	}
	o.mu.Lock()
	b := o.mu.open
	o.mu.Unlock()
	if b != nil && b.nc == nc {
		return b, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	b = &bucket{bucket: o.bucket, nc: nc}
	if b.js, err = jetstream.New(nc); err != nil {
		return nil, err
	}
	if b.store, err = b.js.ObjectStore(ctx, o.bucket); err != nil {
		return nil, err
	}
	if b.stream, err = b.js.Stream(ctx, "OBJ_"+o.bucket); err != nil {
		return nil, err
	}
	o.keep(b)
	return b, nil
}

func (o *objects) keep(b *bucket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.open = b
}

// limit makes the bucket, or changes the limits of one that we have made, and returns it. An existing bucket that we may
// not change serves as it is.
func (o *objects) limit(ctx context.Context, want limits, there bool) (*bucket, error) {
	nc, err := o.dial()
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	// The server refuses new objects above its limit instead of removing the oldest, so our own limit is a little lower.
	err = fitting(want.bytes/9*10, func(most int64) error {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return ensure(ctx, js, o.bucket, want.age, most)
	})
	if err != nil && !there {
		return nil, err
	}
	o.keep(nil)
	b, err := o.bind(ctx)
	if err != nil {
		return nil, err
	}
	b.asked, b.limit = want, want.bytes
	if most := b.stream.CachedInfo().Config.MaxBytes / 10 * 9; most > 0 && (b.limit == 0 || most < b.limit) {
		b.limit = most
	}
	return b, nil
}

// fitting calls do with most bytes, and halves them as long as the server cannot reserve as much.
func fitting(most int64, do func(int64) error) error {
	for {
		err := do(most)
		var refused *jetstream.APIError
		if !errors.As(err, &refused) || most < 16<<20 {
			return err
		}
		switch refused.ErrorCode {
		case 10002, 10023, 10047: // the limits of the account, of the server, of its storage
			most /= 2
		default:
			return err
		}
	}
}

// ensure makes the bucket, or changes its limits if we have made it. A most of 0 is no bound.
func ensure(ctx context.Context, js jetstream.JetStream, name string, age time.Duration, most int64) error {
	stream, err := js.Stream(ctx, "OBJ_"+name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: name, Description: madeByUs, TTL: age, MaxBytes: most, Storage: jetstream.FileStorage,
		})
		return err
	}
	if err != nil {
		return err
	}
	cfg := stream.CachedInfo().Config
	if most == 0 {
		most = -1 // the server's value
	}
	if cfg.Description != madeByUs || cfg.MaxAge == age && cfg.MaxBytes == most {
		return nil
	}
	cfg.MaxAge, cfg.MaxBytes = age, most
	if age > 0 {
		cfg.Duplicates = min(cfg.Duplicates, age)
	}
	_, err = js.UpdateStream(ctx, cfg)
	return err
}

func (*objects) name() string { return "objects" }

func (o *objects) get(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	b, err := o.bind(ctx)
	if err != nil {
		if errors.Is(err, jetstream.ErrBucketNotFound) {
			return nil, fs.ErrNotExist
		}
		return nil, err
	}
	data, err := b.store.GetBytes(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fs.ErrNotExist
	}
	return data, err
}
