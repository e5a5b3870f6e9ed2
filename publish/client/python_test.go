package client_test

import (
	"context"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// TestPython runs the example that reads maps without any NATS or protobuf library, on bare and on compressed ones.
func TestPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("python3 is missing: apt-get install python3")
	}
	for _, c := range []struct {
		name, encoding string
		w, h           int
		noise          bool
		want           string
	}{
		{"bare", "", 64, 32, true, "64x32 T=5 peak 10.00 at (5, 2), 0.0% above threshold"},
		{"compressed", "zstd", 128, 64, false, "128x64 T=5 peak 10.00 at (5, 2), 0.0% above threshold"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, nc := connect(t)
			sub, err := nc.SubscribeSync("oodcast.v1.*.*.map")
			if err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, filepath.Join("examples", "subscribe.py"),
				"--url", p.URL(), "--camera", "front", "--maps", "3")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stop := feed(p.Map, func(seq uint64) *detector.Map { return field(seq, c.w, c.h, c.noise) })
			err = cmd.Wait()
			stop()
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != 3 {
				t.Fatalf("%d lines:\n%s", len(lines), out.String())
			}
			for _, l := range lines {
				if !strings.Contains(l, " front #") || !strings.HasSuffix(l, c.want) {
					t.Errorf("line %q, want … %s", l, c.want)
				}
			}
			if m, err := sub.NextMsg(time.Second); err != nil || m.Header.Get("Content-Encoding") != c.encoding {
				t.Errorf("the maps were encoded as %v, %v, want %q", m, err, c.encoding)
			}
		})
	}
}

// field is a map with its peak at (5, 2), on nothing or on noise.
func field(seq uint64, w, h int, noise bool) *detector.Map {
	m := hill(seq)
	m.Width, m.Height, m.ROI, m.Values = w, h, nil, make([]float32, w*h)
	if rng := rand.New(rand.NewPCG(seq, 1)); noise {
		for i := range m.Values {
			m.Values[i] = rng.Float32()
		}
	}
	m.Values[2*w+5] = 10
	return m
}

// feed hands over a map every 20 ms until stop is called.
func feed(to func(*detector.Map), next func(seq uint64) *detector.Map) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := uint64(0); ; i++ {
			select {
			case <-tick.C:
				to(next(i))
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
