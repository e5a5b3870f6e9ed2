package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/archive"
)

// evidence is the archive of events with its own connection to NATS, so that large objects do not delay maps and events.
type evidence struct {
	*archive.Archive
	cfg       publish.Config
	publisher *publish.Publisher
	mu        struct {
		sync.Mutex
		nc     *nats.Conn
		closed chan struct{}
	}
}

func newEvidence(cfg configs.Config, log *slog.Logger, reg prometheus.Registerer, publisher *publish.Publisher) (*evidence, error) {
	e := &evidence{cfg: cfg.Publish, publisher: publisher}
	var err error
	e.Archive, err = archive.New(cfg.Archive, cfg.Publish.Site,
		archive.WithLogger(log), archive.WithRegistry(reg),
		archive.WithObjectStore(e.dial, cfg.Publish.Prefix+"_archive", filepath.Join(cfg.Publish.StateDir, "evidence")))
	return e, err
}

// dial returns the connection and opens it when it is first needed.
func (e *evidence) dial() (*nats.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.nc != nil && !e.mu.nc.IsClosed() {
		return e.mu.nc, nil
	}
	if e.cfg.Off() {
		return nil, errors.New("publish.url is off, and only a restart can change that")
	}
	closed := make(chan struct{})
	nc, err := e.publisher.Dial(nats.Name("oodcast evidence"), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(time.Second), nats.ReconnectBufSize(-1), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		return nil, err
	}
	e.mu.nc, e.mu.closed = nc, closed
	return nc, nil
}

// Run runs the archive until ctx is done and all pending evidence is written. It starts once an embedded server is ready.
func (e *evidence) Run(ctx context.Context) error {
	if e.cfg.Embedded() {
		select {
		case <-e.publisher.Ready():
		case <-ctx.Done():
		}
	}
	err := e.Archive.Run(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mu.nc != nil {
		e.mu.nc.Close()
		<-e.mu.closed
	}
	return err
}
