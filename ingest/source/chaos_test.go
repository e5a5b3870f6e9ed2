package source_test

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/ingest/source"
)

// A camera fails in every known way, ten times in a row. Each time pictures come again after its return, and nothing is left
// behind at the end.
func TestSupervisorRecoversTenTimes(t *testing.T) {
	before := openFiles(t)
	server := ingesttest.StartRTSP(t, ingesttest.RTSPConfig{FPS: 20, User: "admin", Password: "hunter2"})
	pool := ingest.NewPool(3)
	cfg := streamConfig(server.URL())
	cfg.Reconnect.Stable = 500 * time.Millisecond // faults come faster here than in real life
	src, err := source.New(cfg, pool, source.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	sup := ingest.NewSupervisor(src, cfg.Reconnect, nil, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var newest atomic.Int64 // clock of the newest picture, in ms
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
	recovered := func(since time.Time) bool {
		ms := newest.Load() - since.UnixMilli()
		return ms > 0 && ms < 60_000 // garbage decodes to an arbitrary time
	}
	waitFor(t, 60*time.Second, "the first picture", func() bool { return recovered(time.Now().Add(-time.Second)) })
	faults := []struct {
		name string
		out  func()
	}{
		{"dies", server.Die},
		{"stalls", func() { server.SetFault(ingesttest.Stall) }},
		{"half-closes", server.HalfClose},
		{"sends noise", func() { server.SetFault(ingesttest.Noise) }},
		{"sends garbage", func() { server.SetFault(ingesttest.Garbage) }},
	}
	for i := range 10 {
		fault := faults[i%len(faults)]
		fault.out()
		outage := time.NewTimer(1200 * time.Millisecond) // longer than the read timeout
		<-outage.C
		server.Die() // a server that was alive restarts, like a camera after its watchdog
		server.Revive(t)
		back := time.Now()
		waitFor(t, 60*time.Second, "a picture after the camera "+fault.name, func() bool { return recovered(back) })
		t.Logf("%s: back after %v", fault.name, time.Since(back).Round(10*time.Millisecond))
		steady := time.NewTimer(cfg.Reconnect.Stable + 200*time.Millisecond)
		<-steady.C
	}
	stop()
	run.Wait()
	stats := sup.Stats()
	waitFor(t, 60*time.Second, "abandoned captures to end", func() bool { return sup.Stats().Hanging == 0 })
	t.Logf("%+v, %+v", sup.Status(), stats)
	if pool.InFlight() != 0 || stats.Opens < 11 {
		t.Errorf("%d frames in flight, %d opens", pool.InFlight(), stats.Opens)
	}
	server.Die()
	waitFor(t, 60*time.Second, "connections to end", func() bool { return server.Clients() == 0 })
	if after := openFiles(t); after > before+1 { // the server's port may still be closing
		t.Errorf("%d files open before, %d after", before, after)
	}
	checkMats(t)
}

// openFiles counts the file descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
