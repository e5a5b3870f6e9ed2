package archive

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// This file writes objects itself, because ObjectStore.Put of nats.go 1.55 leaks a goroutine when it returns before that
// goroutine has run, as it does when NATS goes away (resetPendingAcksOnReconnect in its jetstream/publish.go). The layout
// follows NATS's ADR-20: pieces under $O.{bucket}.C.{object}, and then a message that describes them and replaces the one
// before, under $O.{bucket}.M.{name in base64}. Every request has its own time limit; an object may take as long as it
// needs.
const (
	pieceBytes = 128 << 10
	modified   = "modified" // metadata: the modification time of our file
)

func (b *bucket) pieces(object string) string { return "$O." + b.bucket + ".C." + object }

func (b *bucket) description(name string) string {
	return "$O." + b.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// put stores an open file, unless the store has the same object already, and returns the number of bytes sent. When put
// fails, its next attempt removes the pieces of this one.
func (b *bucket) put(ctx context.Context, name string, f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at := info.ModTime().UTC().Format(time.RFC3339Nano)
	before, err := request(ctx, func(ctx context.Context) (*jetstream.ObjectInfo, error) {
		return b.store.GetInfo(ctx, name)
	})
	switch {
	case errors.Is(err, jetstream.ErrObjectNotFound):
		before = nil
	case err != nil:
		return 0, err
	case before.Metadata[modified] == at && before.Size == uint64(info.Size()):
		return 0, nil
	}
	sum := sha256.Sum256([]byte(name + "\n" + at))
	now := jetstream.ObjectInfo{
		Bucket: b.bucket, NUID: base64.RawURLEncoding.EncodeToString(sum[:16]),
		ObjectMeta: jetstream.ObjectMeta{
			Name: name, Metadata: map[string]string{modified: at}, Opts: &jetstream.ObjectMetaOptions{ChunkSize: pieceBytes},
		},
	}
	if most := b.nc.MaxPayload() - 1024; most < pieceBytes {
		now.Opts.ChunkSize = uint32(max(most, 1024))
	}
	if err := b.purge(ctx, b.pieces(now.NUID)); err != nil {
		return 0, err
	}
	if err := b.send(ctx, &now, f); err != nil {
		return 0, err
	}
	if before == nil || before.NUID == now.NUID {
		return int64(now.Size), nil
	}
	return int64(now.Size), b.purge(ctx, b.pieces(before.NUID))
}

// send sends the pieces of an object, completes its description o, and sends that.
func (b *bucket) send(ctx context.Context, o *jetstream.ObjectInfo, r io.Reader) error {
	digest := sha256.New()
	for piece := make([]byte, o.Opts.ChunkSize); ; {
		n, err := io.ReadFull(r, piece)
		if n == 0 && errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		digest.Write(piece[:n])
		o.Size += uint64(n)
		o.Chunks++
		if err := b.publish(ctx, &nats.Msg{Subject: b.pieces(o.NUID), Data: piece[:n]}); err != nil {
			return err
		}
	}
	o.Digest = jetstream.GetObjectDigestValue(digest)
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return b.publish(ctx, &nats.Msg{
		Subject: b.description(o.Name), Data: raw,
		Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}},
	})
}

func (b *bucket) publish(ctx context.Context, m *nats.Msg) error {
	_, err := request(ctx, func(ctx context.Context) (*jetstream.PubAck, error) { return b.js.PublishMsg(ctx, m) })
	return err
}

func (b *bucket) purge(ctx context.Context, subject string) error {
	_, err := request(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
	})
	return err
}

// request calls do with a time limit.
func request[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return do(ctx)
}

func (*bucket) name() string { return "objects" }

// remove deletes an event's objects without a trace, since deletion marks would accumulate.
func (b *bucket) remove(ctx context.Context, k kept) error {
	for _, file := range k.files {
		name := path.Join(k.folder, file)
		info, err := request(ctx, func(ctx context.Context) (*jetstream.ObjectInfo, error) { return b.store.GetInfo(ctx, name) })
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			continue
		}
		if err == nil {
			err = b.purge(ctx, b.pieces(info.NUID))
		}
		if err == nil {
			err = b.purge(ctx, b.description(name))
		}
		if err != nil {
			return fmt.Errorf("remove evidence: %w", err)
		}
	}
	return nil
}

// list returns all events. It reads the watcher to its end; ObjectStore.List of nats.go 1.55 does not, and leaks a
// goroutine when it is interrupted.
func (b *bucket) list(ctx context.Context) ([]kept, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*requestTimeout)
	defer cancel()
	w, err := b.store.Watch(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer func() {
		if w.Stop() == nil {
			for range w.Updates() { // until it is closed
			}
		}
	}()
	var all []kept
	index := map[string]int{}
	for {
		select {
		case info, ok := <-w.Updates():
			if !ok {
				return nil, nats.ErrDisconnected
			}
			if info == nil { // the end of the list
				return all, nil
			}
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
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
