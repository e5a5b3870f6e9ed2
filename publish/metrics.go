package publish

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/latency"
	"github.com/oodcast/oodcast/publish/schema"
)

// Metrics are the Prometheus metrics of the cameras and of NATS.
type Metrics struct {
	published *prometheus.CounterVec
	events    *prometheus.CounterVec
	age       *prometheus.HistogramVec
	stage     *prometheus.HistogramVec
	maps      *prometheus.CounterVec
	timesteps *prometheus.GaugeVec
	score     *prometheus.SummaryVec
	area      *prometheus.GaugeVec
	drifting  *prometheus.GaugeVec
	level     *prometheus.GaugeVec
	layout    *prometheus.GaugeVec
	connected prometheus.Gauge

	reconnects prometheus.Counter
	reduced    *prometheus.CounterVec
	spooled    prometheus.Counter
	spool      prometheus.Gauge
	slow       *slowConsumers
	cameras    *collector
}

// NewMetrics registers the metrics of this package, including those that are read from the Status of each camera.
func NewMetrics(reg prometheus.Registerer, cameras []schema.Camera) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"camera"})
	}
	age, err := latency.FrameAge(reg)
	if err != nil {
		return nil, err
	}
	m := &Metrics{
		age:       age,
		published: counter("oodcast_nats_publish_total", "Messages by kind and result.", "kind", "result"),
		events:    counter("oodcast_events_total", "Events by type.", "camera", "type"),
		maps:      counter("oodcast_frames_processed_total", "Frames scored.", "camera"),
		stage:     latency.Histogram("oodcast_stage_duration_seconds", "Time that a frame spends in a stage.", "stage"),
		timesteps: gauge("oodcast_inference_steps", "Timesteps of the newest map, |T|."),
		score: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "oodcast_anomaly_score", Help: "Peaks of the maps of the last minute, in standard deviations.",
			Objectives: map[float64]float64{0.5: 0.05, 0.95: 0.01, 0.99: 0.001}, MaxAge: time.Minute,
		}, []string{"camera"}),
		drifting: gauge("oodcast_drift", "1 while the picture differs from the footage of the bundle or from its own past."),
		level:    gauge("oodcast_drift_level", "Median score of the last minutes; 0 on normal footage."),
		layout:   gauge("oodcast_drift_layout", "Share of the picture's edges that have moved since the start, 0 to 1."),
		area:     gauge("oodcast_anomaly_area_ratio", "Share of the newest map above the threshold."),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_nats_connected", Help: "1 while connected to NATS.",
		}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oodcast_nats_reconnects_total", Help: "Connections to NATS after the first.",
		}),
		reduced: counter("oodcast_nats_maps_reduced_total", "Maps that were too large as configured, by reduction.", "how"),
		spooled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oodcast_nats_spooled_events_total", Help: "Events written to the spool on disk.",
		}),
		spool: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_nats_spool_bytes", Help: "Events on disk that wait for NATS, in bytes.",
		}),
		slow:    newSlowConsumers(),
		cameras: newCollector(cameras),
	}
	for _, c := range []prometheus.Collector{
		m.published, m.events, m.maps, m.stage, m.timesteps, m.score, m.area, m.drifting, m.level, m.layout, m.connected,
		m.reconnects, m.reduced, m.spooled, m.spool, m.slow, m.cameras,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe records one map when it is handed over.
func (m *Metrics) observe(d *detector.Map) {
	m.maps.WithLabelValues(d.Camera).Inc()
	m.timesteps.WithLabelValues(d.Camera).Set(float64(len(d.Timesteps)))
	m.score.WithLabelValues(d.Camera).Observe(float64(d.Peak))
	m.area.WithLabelValues(d.Camera).Set(d.AboveThreshold())
	drifting := 0.0
	if d.Drift.State == detector.DriftDrifting {
		drifting = 1
	}
	m.drifting.WithLabelValues(d.Camera).Set(drifting)
	m.level.WithLabelValues(d.Camera).Set(d.Drift.Level)
	m.layout.WithLabelValues(d.Camera).Set(d.Drift.Layout)
	m.stage.WithLabelValues(d.Camera, "wait").Observe(d.Latency.Wait.Seconds())
	m.stage.WithLabelValues(d.Camera, "encode").Observe(d.Latency.Encode.Seconds())
	m.stage.WithLabelValues(d.Camera, "score").Observe(d.Latency.Score.Seconds())
	m.stage.WithLabelValues(d.Camera, "total").Observe(d.Latency.Total.Seconds())
}

// countSlowConsumers starts counting the slow consumers of an embedded server.
func (m *Metrics) countSlowConsumers(s *server.Server) { m.slow.server.Store(s) }

// forget removes all series of one camera, so that removed cameras leave nothing behind.
func (m *Metrics) forget(camera string) {
	m.cameras.remove(camera)
	about := prometheus.Labels{"camera": camera}
	for _, v := range []*prometheus.CounterVec{m.events, m.maps} {
		v.DeletePartialMatch(about)
	}
	m.score.DeletePartialMatch(about)
	for _, v := range []*prometheus.HistogramVec{m.age, m.stage} {
		v.DeletePartialMatch(about)
	}
	for _, v := range []*prometheus.GaugeVec{m.timesteps, m.area, m.drifting, m.level, m.layout} {
		v.DeletePartialMatch(about)
	}
}
