package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// listenFlags say what a verb listens to on NATS.
type listenFlags struct {
	NATS   string `name:"nats" placeholder:"URL" help:"Server to listen to; default the configuration's, or nats://127.0.0.1:4222."`
	Config string `placeholder:"FILE" help:"Configuration whose publish section says where the server is and how to log in."`
	Camera string `placeholder:"NAME" help:"Only this camera."`
	Site   string `placeholder:"NAME" help:"Site to listen to; default the configuration's."`
}

// dial connects under a name, for good: also when credentials are exchanged while it listens. The options are those of a
// client that hears what the flags ask for.
func (f *listenFlags) dial(name string) (*nats.Conn, []client.Option, error) {
	cfg, err := configs.Read(f.Config, os.Environ(), nil)
	if err != nil {
		return nil, nil, err
	}
	set(&cfg.Publish.URL, f.NATS)
	set(&cfg.Publish.Site, f.Site)
	if f.NATS != "" {
		if err := cfg.Validate(); err != nil { // the file is right, so it is the flag; a parser's own message would quote the password
			return nil, nil, usagef("--nats: %w", err)
		}
	}
	if cfg.Publish.Off() {
		return nil, nil, usagef("--nats: the configuration says off: give the server's URL")
	}
	opts := []client.Option{client.Prefix(cfg.Publish.Prefix), client.Site(cfg.Publish.Site)}
	if f.Camera != "" {
		if err := schema.CheckName(f.Camera); err != nil {
			return nil, nil, usagef("--camera: %w", err)
		}
		opts = append(opts, client.Camera(f.Camera))
	}
	if err := schema.CheckName(cfg.Publish.Site); err != nil {
		return nil, nil, usagef("--site: %w", err)
	}
	nc, err := publish.Dial(cfg.Publish, nats.Name(name), nats.MaxReconnects(-1), nats.ReconnectWait(time.Second),
		nats.IgnoreAuthErrorAbort())
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return nil, nil, err
	case err != nil:
		return nil, nil, fmt.Errorf("%w; is oodcast run there?", err)
	}
	return nc, opts, nil
}
