package source_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// Whatever a camera does for a while, its pictures come again afterwards.
func TestEveryQuirkPasses(t *testing.T) {
	t.Parallel()
	quirks := func(s *ingesttest.RTSPServer) []ingesttest.Quirk { return s.Quirks() }
	camera := func(t *testing.T) *ingesttest.RTSPServer {
		return ingesttest.StartRTSP(t, ingesttest.RTSPConfig{User: "admin", Password: "hunter2", Digest: true})
	}
	for i, quirk := range quirks(camera(t)) {
		t.Run(strings.ReplaceAll(quirk.Name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			server := camera(t)
			passes(t, server, quirks(server)[i])
		})
	}
}

func passes(t *testing.T, server *ingesttest.RTSPServer, quirk ingesttest.Quirk) {
	t.Helper()
	pool := ingest.NewPool(3)
	cfg := streamConfig(server.URL())
	cfg.Reconnect.Max = time.Second
	src, err := source.New(cfg, pool, source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var newest atomic.Int64 // clock of the newest picture, in ms
	sup := ingest.NewSupervisor(src, cfg.Reconnect, nil, 1)
	var run sync.WaitGroup
	run.Go(func() {
		err := sup.Run(ctx, func(_ context.Context, f *ingest.Frame) error {
			newest.Store(ingesttest.ReadClock(f).UnixMilli())
			f.Release()
			return nil
		})
		if err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	recovered := func(since time.Time) func() bool {
		return func() bool {
			ms := newest.Load() - since.UnixMilli()
			return ms > 0 && ms < 60_000 // random payload decodes to an arbitrary time
		}
	}
	waitFor(t, time.Minute, "the first picture", recovered(time.Now().Add(-time.Second)))
	quirk.Begin()
	lasting := time.NewTimer(3 * cfg.ReadTimeout)
	<-lasting.C
	during := sup.Status()
	quirk.End()
	end := time.Now()
	waitFor(t, time.Minute, "a picture after the end", recovered(end))
	t.Logf("during: %s %v; back %v after the end, %d opens, %v", during.State, during.Err,
		time.Since(end).Round(10*time.Millisecond), sup.Stats().Opens, sup.Reconnects())
	stop()
	run.Wait()
	if n := pool.InFlight(); n != 0 {
		t.Errorf("%d frames in flight", n)
	}
}
