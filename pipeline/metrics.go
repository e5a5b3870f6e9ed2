package pipeline

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what Prometheus sees of the pipeline itself; those of its cameras come from their Status.
type metrics struct {
	batches prometheus.Histogram
	reloads *prometheus.CounterVec
	applied prometheus.Gauge
}

// Results of oodcast_config_reloads_total.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

func newMetrics() *metrics {
	m := &metrics{
		batches: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oodcast_detector_batch_frames", Help: "Frames that were scored together.",
			Buckets: []float64{1, 2, 4, 8, 16, 32},
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_config_reloads_total", Help: "Configurations read while running, applied or refused.",
		}, []string{"result"}),
		applied: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_config_last_reload_successful", Help: "0 when the newest configuration was refused.",
		}),
	}
	m.applied.Set(1)
	for _, result := range []string{reloadApplied, reloadRefused} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

func (m *metrics) register(reg prometheus.Registerer) error {
	return errors.Join(reg.Register(m.batches), reg.Register(m.reloads), reg.Register(m.applied))
}

// reloaded counts a configuration that was read while running.
func (m *metrics) reloaded(result string) {
	m.reloads.WithLabelValues(result).Inc()
	m.applied.Set(0)
	if result == reloadApplied {
		m.applied.Set(1)
	}
}
