package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/schema"
)

// auditor is an outlet that keeps the changes of settings it is told of.
type auditor struct {
	recorder
	mu     sync.Mutex
	audits []string
}

func (a *auditor) Audit(change schema.Audit) {
	before, _ := json.Marshal(change.Before)
	after, _ := json.Marshal(change.After)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.audits = append(a.audits, fmt.Sprintf("%s %s by %s %s: %s %s", change.Camera, change.Action, change.Via, change.Address, before, after))
	for _, c := range change.Changes {
		a.audits[len(a.audits)-1] += fmt.Sprintf(" [%s: %s, %s]", c.Key, c.Before, c.After)
	}
}

// TestEveryChangeIsAudited changes settings by requests and by a reload: outlets and log learn of every change, with its
// requester and the values before and after it; a refused request is none.
func TestEveryChangeIsAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m, seen := newMachine(time.Millisecond, time.Millisecond), &auditor{}
		cfg := Config{Site: "test", Batch: DefaultBatch(), Cameras: []CameraConfig{testCamera("front"), testCamera("rear")}}
		p := newPipeline(Outlets{seen}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			WithSources(func(cfg ingest.Config, pool *ingest.Pool, _ bool) (ingest.Source, error) {
				return &clockwork{cfg.Name, pool, time.Second}, nil
			}))
		p.engines = &engines{open: m.engine, log: p.log, loaded: map[string]*engine{}}
		if err := p.prepareCameras(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		<-p.Ready()
		front := p.cameras()[0]
		before := front.Status().Threshold
		who := schema.Requester{Via: schema.ViaHTTP, Address: "10.0.0.7"}
		threshold, paused := float32(7), true
		for _, u := range []schema.Update{
			{Threshold: &threshold},
			{Timesteps: &schema.Timesteps{N: 99}},
			{Paused: &paused},
			{Threshold: &threshold, Timesteps: &schema.Timesteps{N: 3}},
		} {
			_, _ = front.Apply(who, u)
		}
		reload := schema.Requester{Via: schema.ViaConfig, Address: "oodcast.yaml"}
		next := Config{Site: "test", Batch: DefaultBatch(), Cameras: []CameraConfig{testCamera("front"), testCamera("yard")}}
		next.Cameras[0].Detector.Threshold, next.Cameras[0].Events.Hold = 9, time.Minute
		if _, err := p.Apply(reload, next); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := []string{
			fmt.Sprintf(`front set by http 10.0.0.7: {"threshold":%g} {"threshold":7}`, before),
			`front pause by http 10.0.0.7: {"paused":false} {"paused":true}`,
			`front set by http 10.0.0.7: {"timesteps":5,"threshold":7} {"timesteps":3,"threshold":7}`,
			`front reload by config oodcast.yaml: {"timesteps":3,`,
			`front reload by config oodcast.yaml: {} {} [events.hold: 1s, 1m0s]`,
			`yard added by config oodcast.yaml: {} {"timesteps":5,`,
			`rear removed by config oodcast.yaml: {"timesteps":5,`,
		}
		if len(seen.audits) != len(want) {
			t.Fatalf("%d changes, want %d:\n%s", len(seen.audits), len(want), strings.Join(seen.audits, "\n"))
		}
		for i, w := range want {
			if !strings.HasPrefix(seen.audits[i], w) {
				t.Errorf("change %d is %s, want %s", i, seen.audits[i], w)
			}
		}
		if !strings.HasSuffix(seen.audits[3], ` [detector.threshold: 0, 9]`) {
			t.Errorf("the reload is told as %s, want the key that has changed", seen.audits[3])
		}
		if !strings.Contains(seen.audits[3], `"threshold":9,`) || !strings.Contains(seen.audits[3], `"threshold":7,`) {
			t.Errorf("the reload is told as %s, want the threshold before and after", seen.audits[3])
		}
		if n := strings.Count(log.String(), "msg=audit"); n != len(want) {
			t.Errorf("%d audit lines in the log, want %d", n, len(want))
		}
	})
}

// TestChangedKeys names what a reload has changed, without secrets.
func TestChangedKeys(t *testing.T) {
	before, after := testCamera("front"), testCamera("front")
	before.Source.URI, after.Source.URI = "rtsp://me:hunter2@a/1", "rtsp://me:hunter3@b/1"
	after.Source.FFmpegOptions = "headers;Authorization: hunter4"
	after.Source.Reconnect.Max, after.Queue.QueueFrames, after.Bundle = time.Hour, 7, "mine"
	text := fmt.Sprint(changedKeys(before, after))
	for _, key := range []string{"{uri ", "{ffmpeg_options *** ***}", "{reconnect.max ", "{queue_frames 1 7}", "{bundle roadscene-s mine}"} {
		if !strings.Contains(text, key) {
			t.Errorf("%s is not in %s", key, text)
		}
	}
	if strings.Contains(text, "hunter") || strings.Count(text, "{") != 5 {
		t.Errorf("changes: %s", text)
	}
}
