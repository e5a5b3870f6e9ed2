package publish

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/publish/schema"
)

// Metrics are what Prometheus sees of the cameras and of NATS.
type Metrics struct {
	published *prometheus.CounterVec
	events    *prometheus.CounterVec
	age       *prometheus.HistogramVec
	stage     *prometheus.HistogramVec
	maps      *prometheus.CounterVec
	timesteps *prometheus.GaugeVec
	score     *prometheus.GaugeVec
	area      *prometheus.GaugeVec
	connected prometheus.Gauge
}

// NewMetrics registers the metrics of this package and, for each camera, what its Status says.
func NewMetrics(reg prometheus.Registerer, cameras []Camera) (*Metrics, error) {
	buckets := []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"camera"})
	}
	histogram := func(name, help string, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1,
		}, []string{"camera", label})
	}
	m := &Metrics{
		published: counter("oodcast_nats_publish_total", "Messages by kind and result.", "kind", "result"),
		events:    counter("oodcast_events_total", "Events by type.", "camera", "type"),
		maps:      counter("oodcast_frames_processed_total", "Frames scored.", "camera"),
		age:       histogram("oodcast_frame_age_seconds", "From capture until the sink has it.", "sink"),
		stage:     histogram("oodcast_stage_duration_seconds", "Time that a frame spends in a stage.", "stage"),
		timesteps: gauge("oodcast_inference_steps", "Timesteps of the newest map, |T|."),
		score:     gauge("oodcast_anomaly_score", "Peak of the newest map, standard deviations."),
		area:      gauge("oodcast_anomaly_area_ratio", "Share of the newest map above the threshold."),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_nats_connected", Help: "1 while connected to NATS.",
		}),
	}
	for _, c := range []prometheus.Collector{
		m.published, m.events, m.maps, m.age, m.stage, m.timesteps, m.score, m.area, m.connected, newCollector(cameras),
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe counts one map when it is handed over.
func (m *Metrics) observe(d *detector.Map) {
	m.maps.WithLabelValues(d.Camera).Inc()
	m.timesteps.WithLabelValues(d.Camera).Set(float64(len(d.Timesteps)))
	m.score.WithLabelValues(d.Camera).Set(float64(d.Peak))
	m.area.WithLabelValues(d.Camera).Set(d.AboveThreshold())
	m.stage.WithLabelValues(d.Camera, "wait").Observe(d.Latency.Wait.Seconds())
	m.stage.WithLabelValues(d.Camera, "encode").Observe(d.Latency.Encode.Seconds())
	m.stage.WithLabelValues(d.Camera, "score").Observe(d.Latency.Score.Seconds())
	m.stage.WithLabelValues(d.Camera, "total").Observe(d.Latency.Total.Seconds())
}

// collector turns each camera's Status into metrics when Prometheus asks.
type collector struct {
	cameras                    []Camera
	captured, dropped, up, fps *prometheus.Desc
	errors                     *prometheus.Desc
}

func newCollector(cameras []Camera) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"camera"}, labels...), nil)
	}
	return &collector{
		cameras:  cameras,
		captured: desc("oodcast_frames_captured_total", "Frames read from the source."),
		dropped:  desc("oodcast_frames_dropped_total", "Frames dropped, by stage and reason.", "reason"),
		errors:   desc("oodcast_frame_errors_total", "Frames or maps that could not be used."),
		up:       desc("oodcast_source_up", "1 while the source delivers."),
		fps:      desc("oodcast_camera_fps", "Frames a second read from the source."),
	}
}

// Describe sends the descriptions of all metrics.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.captured, c.dropped, c.errors, c.up, c.fps} {
		ch <- d
	}
}

// Collect asks every camera for its Status.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, cam := range c.cameras {
		s, name := cam.Status(), cam.Name()
		up := 0.0
		if s.State == schema.StateLive || s.State == schema.StatePaused {
			up = 1
		}
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{name}, labels...)...)
		}
		send(c.up, prometheus.GaugeValue, up)
		send(c.fps, prometheus.GaugeValue, s.Stats.CameraFPS)
		send(c.captured, prometheus.CounterValue, float64(s.Stats.Captured))
		send(c.errors, prometheus.CounterValue, float64(s.Stats.Errors))
		for reason, n := range s.Stats.Dropped {
			send(c.dropped, prometheus.CounterValue, float64(n), reason)
		}
	}
}
