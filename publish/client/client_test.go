package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/schema/schematest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server's stores share one clock per process, and the last store to close does not wait for it.
		goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// serve runs a publisher with one camera and an embedded NATS server until stop is called.
func serve(dir string, edit ...func(*publish.Config)) (p *publish.Publisher, stop func(), err error) {
	cfg := publish.DefaultConfig()
	for _, e := range edit {
		e(&cfg)
	}
	cfg.URL, cfg.StateDir, cfg.MapStream = "embedded://127.0.0.1:0", dir, true
	cameras := []schema.Camera{schematest.NewCamera("front")}
	if p, err = publish.New(cfg, cameras, publish.WithLogger(slog.New(slog.DiscardHandler))); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	select {
	case <-p.Ready():
		return p, func() { cancel(); <-done }, nil
	case err := <-done:
		cancel()
		return nil, nil, err
	}
}

// hill is a map with its peak at (5, 2), of which the right half is judged.
func hill(seq uint64) *detector.Map {
	m := &detector.Map{
		Camera: "front", Seq: seq, Captured: time.Now(), Width: 8, Height: 4, ImageWidth: 800, ImageHeight: 400,
		Values: make([]float32, 32), Timesteps: []int{3, 1, 7, 2, 9}, Threshold: 4, Peak: 10,
		Bundle: "roadscene", Provider: "cpu",
	}
	m.Values[2*8+5] = 10
	m.ROI = detector.ROI{Include: []detector.Polygon{{{0.5, 0}, {1, 0}, {1, 1}, {0.5, 1}}}}.Mask(8, 4)
	return m
}

func connect(t *testing.T) (*publish.Publisher, *nats.Conn) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("OODCAST_PUBLISH__STATE_DIR", dir) // where the examples find the login
	p, stop, err := serve(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	nc, err := publish.Dial(publish.Config{URL: p.URL(), StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return p, nc
}

func TestClient(t *testing.T) {
	p, nc := connect(t)
	c := client.New(nc, client.Camera("front"), client.OnFault(func(err error) { t.Error(err) }))
	maps, received := make(chan client.Map, 1), make(chan schema.Event, 1)
	stopMaps, err := c.Maps(func(m client.Map) { maps <- m })
	if err != nil {
		t.Fatal(err)
	}
	defer stopMaps()
	stopEvents, err := c.Events(func(e schema.Event) { received <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer stopEvents()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	in := hill(4)
	p.Map(in)
	m := <-maps
	if m.GetSeq() != 4 || !m.Captured.Equal(in.Captured) || m.At(550, 250) != 10 || m.At(0, 0) != 0 ||
		m.At(9999, -5) != 0 {
		t.Errorf("map %d of %v: %v %v", m.GetSeq(), m.Captured, m.At(550, 250), m.At(0, 0))
	}
	for x := range 8 {
		if got := m.Judged(x, 3); got != (x >= 4) {
			t.Errorf("Judged(%d, 3) = %v, want only the right half to be judged", x, got)
		}
	}
	p.Event(events.Event{ID: "a", Revision: 1, Type: events.Start, Camera: "front", Peak: 9})
	if e := <-received; e.ID != "a" || e.Type != "start" || e.Peak != 9 {
		t.Errorf("event %+v", e)
	}
	st, err := c.Set(t.Context(), "front", schema.Update{Timesteps: &schema.Timesteps{N: 12}})
	if err != nil || st.Timesteps.N != 12 {
		t.Errorf("Set() = %+v, %v", st, err)
	}
	_, err = c.Set(t.Context(), "front", schema.Update{Timesteps: &schema.Timesteps{N: 99}})
	if want := "set front: timesteps: got 99, want 1..25"; err == nil || err.Error() != want {
		t.Errorf("Set(99) = %v, want %q", err, want)
	}
	if st, err := c.Pause(t.Context(), "front"); err != nil || !st.Paused {
		t.Errorf("Pause() = %+v, %v", st, err)
	}
	if st, err := c.Resume(t.Context(), "front"); err != nil || st.Paused {
		t.Errorf("Resume() = %+v, %v", st, err)
	}
	if st, err := c.Get(t.Context(), "front"); err != nil || st.Timesteps.N != 12 {
		t.Errorf("Get() = %+v, %v", st, err)
	}
	if _, err := c.Get(t.Context(), "nobody"); err == nil {
		t.Error("Get(nobody) = nil error")
	}
}

// TestSlowHandler checks that a slow handler receives the newest map soon, and that the maps it missed are counted.
func TestSlowHandler(t *testing.T) {
	p, nc := connect(t)
	release, seen := make(chan struct{}), make(chan uint64, 100)
	c := client.New(nc)
	stop, err := c.Maps(func(m client.Map) {
		<-release
		seen <- m.GetSeq()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	count := 0
	sub, err := nc.SubscribeSync("oodcast.v1.*.*.map")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(60) {
		p.Map(hill(i))
		if _, err := sub.NextMsg(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	// The handler has one map, 8 wait, and all others were dropped.
	for deadline := time.Now().Add(time.Minute); c.Dropped() < 60-9; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d maps dropped, want 51", c.Dropped())
		}
	}
	close(release)
	for seq := range seen {
		count++
		if seq == 59 {
			break
		}
	}
	if got := int(c.Dropped()); got != 60-count {
		t.Errorf("%d maps dropped, want %d", got, 60-count)
	}
	stop()
	stop() // stopping twice is harmless
}

func Example() {
	dir, err := os.MkdirTemp("", "client")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	publisher, stop, err := serve(dir) // in your program: oodcast run
	if err != nil {
		panic(err)
	}
	defer stop()

	nc, err := publish.Dial(publish.Config{URL: publisher.URL(), StateDir: dir}) // or nats.Connect with a login
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	c := client.New(nc, client.Camera("front"))
	done := make(chan struct{})
	stopMaps, err := c.Maps(func(m client.Map) {
		fmt.Printf("%s: %dx%d cells, peak %.0f, pixel (550, 250) %.0f\n",
			m.GetCamera(), m.GetWidth(), m.GetHeight(), m.GetPeak(), m.At(550, 250))
		close(done)
	})
	if err != nil {
		panic(err)
	}
	defer stopMaps()
	st, err := c.Set(context.Background(), "front", schema.Update{Timesteps: &schema.Timesteps{N: 8}})
	if err != nil {
		panic(err)
	}
	fmt.Println("timesteps in force:", st.Timesteps.N)
	publisher.Map(hill(0))
	<-done
	// Output:
	// timesteps in force: 8
	// front: 8x4 cells, peak 10, pixel (550, 250) 10
}
