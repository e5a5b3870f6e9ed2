package publish

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/publish/schema"
)

// states are the values of the label state.
var states = []string{
	schema.StateConnecting, schema.StateLive, schema.StateStalled, schema.StateDown, schema.StateEnded, schema.StatePaused,
}

// collector turns the Status of each camera into metrics when Prometheus collects them.
type collector struct {
	mu struct {
		sync.Mutex
		cameras []schema.Camera
	}
	captured, dropped, up, fps *prometheus.Desc
	errors, misses, changes    *prometheus.Desc
	state                      *prometheus.Desc
	reconnects, abandoned      *prometheus.Desc
	hanging, bytes, model      *prometheus.Desc
	waiting, capacity          *prometheus.Desc
}

func newCollector(cameras []schema.Camera) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"camera"}, labels...), nil)
	}
	c := &collector{
		captured: desc("oodcast_frames_captured_total", "Frames read from the source."),
		dropped:  desc("oodcast_frames_dropped_total", "Frames dropped, by stage and reason.", "stage", "reason"),
		errors:   desc("oodcast_frame_errors_total", "Frames or maps that could not be used."),
		misses:   desc("oodcast_budget_misses_total", "Frames whose encoding and scoring took longer than the latency budget."),
		changes:  desc("oodcast_inference_steps_changes_total", "Changes of |T| to meet the latency budget."),
		up:       desc("oodcast_source_up", "1 while the source delivers."),
		fps:      desc("oodcast_camera_fps", "Frames per second read from the source."),

		state:      desc("oodcast_source_state", "1 for the state that the source is in, 0 for the others.", "state"),
		reconnects: desc("oodcast_source_reconnects_total", "Attempts to open the source after the first, by reason.", "reason"),
		abandoned:  desc("oodcast_captures_abandoned_total", "Captures that hung and were abandoned."),
		hanging:    desc("oodcast_captures_hanging", "Abandoned captures that still hold a thread."),
		waiting:    desc("oodcast_queue_length", "Frames in the queue.", "queue"),
		capacity:   desc("oodcast_queue_capacity", "Frames that the queue can hold.", "queue"),
		model:      desc("oodcast_model_info", "Always 1; the labels name the bundle in use and its provider.", "model", "version", "provider"),
		bytes:      desc("oodcast_frame_bytes", "Memory of all frames of the camera, in bytes."),
	}
	c.mu.cameras = slices.Clone(cameras)
	return c
}

// add appends a camera unless one of the same name exists.
func (c *collector) add(cam schema.Camera) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.mu.cameras, func(o schema.Camera) bool { return o.Name() == cam.Name() }) {
		c.mu.cameras = append(c.mu.cameras, cam)
	}
}

// remove removes a camera.
func (c *collector) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.cameras = slices.DeleteFunc(c.mu.cameras, func(o schema.Camera) bool { return o.Name() == name })
}

func (c *collector) all() []schema.Camera {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.mu.cameras)
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.captured, c.dropped, c.errors, c.misses, c.changes, c.up, c.fps, c.reconnects, c.abandoned, c.hanging, c.waiting,
		c.capacity, c.bytes, c.state, c.model,
	} {
		ch <- d
	}
}

// Collect sends the metrics of every camera, from its Status.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, cam := range c.all() {
		s, name := cam.Status(), cam.Name()
		up := 0.0
		if s.State == schema.StateLive || s.State == schema.StatePaused {
			up = 1
		}
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{name}, labels...)...)
		}
		send(c.up, prometheus.GaugeValue, up)
		for _, state := range states {
			in := 0.0
			if s.State == state {
				in = 1
			}
			send(c.state, prometheus.GaugeValue, in, state)
		}
		send(c.fps, prometheus.GaugeValue, s.Stats.CameraFPS)
		send(c.captured, prometheus.CounterValue, float64(s.Stats.Captured))
		send(c.errors, prometheus.CounterValue, float64(s.Stats.Errors))
		send(c.misses, prometheus.CounterValue, float64(s.Stats.BudgetMisses))
		send(c.changes, prometheus.CounterValue, float64(s.Stats.TimestepsChanges))
		for reason, n := range s.Stats.ReconnectReasons {
			send(c.reconnects, prometheus.CounterValue, float64(n), reason)
		}
		send(c.abandoned, prometheus.CounterValue, float64(s.Stats.Abandoned))
		send(c.hanging, prometheus.GaugeValue, float64(s.Stats.Hanging))
		send(c.waiting, prometheus.GaugeValue, float64(s.Stats.Waiting), "score")
		send(c.capacity, prometheus.GaugeValue, float64(s.Stats.WaitingMax), "score")
		send(c.model, prometheus.GaugeValue, 1, s.Bundle, s.BundleVersion, s.Provider)
		send(c.bytes, prometheus.GaugeValue, float64(s.Stats.FrameBytes))
		for where, n := range s.Stats.Dropped {
			stage, reason, _ := strings.Cut(where, ":")
			send(c.dropped, prometheus.CounterValue, float64(n), stage, reason)
		}
	}
}

// slowConsumers counts the subscribers that the embedded server disconnected because they did not read.
type slowConsumers struct {
	prometheus.CounterFunc
	server atomic.Pointer[server.Server]
}

func newSlowConsumers() *slowConsumers {
	s := &slowConsumers{}
	s.CounterFunc = prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "oodcast_nats_slow_consumers_total",
		Help: "Subscribers that the embedded server disconnected because they did not read.",
	}, func() float64 {
		if srv := s.server.Load(); srv != nil {
			return float64(srv.NumSlowConsumers())
		}
		return 0
	})
	return s
}
