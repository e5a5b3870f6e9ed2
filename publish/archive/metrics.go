package archive

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	written *prometheus.CounterVec
	dropped *prometheus.CounterVec
	errors  *prometheus.CounterVec
	removed prometheus.Counter
	bytes   *prometheus.GaugeVec
	waiting prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		written: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_archive_files_total", Help: "Files written, by place.",
		}, []string{"place"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_archive_dropped_total", Help: "Losses: frame, picture, event, film, film_end (a film became shorter) or upload (of an event).",
		}, []string{"what"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oodcast_archive_errors_total", Help: "Failures, by place or step.",
		}, []string{"place"}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oodcast_archive_removed_total", Help: "Events that retention removed.",
		}),
		bytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oodcast_archive_bytes", Help: "Size of the evidence at the last check, by place.",
		}, []string{"place"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oodcast_archive_waiting_events", Help: "Events with files that wait for the object store.",
		}),
	}
	for _, c := range []prometheus.Collector{m.written, m.dropped, m.errors, m.removed, m.bytes, m.waiting} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
