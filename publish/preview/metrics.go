package preview

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/publish/latency"
)

// metrics are the Prometheus metrics of the preview.
type metrics struct {
	frames  *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	keys    *prometheus.CounterVec
	bitrate *prometheus.GaugeVec
	encode  *prometheus.HistogramVec
	age     *prometheus.HistogramVec
	viewers *prometheus.GaugeVec

	passed   *prometheus.GaugeVec
	pictures *prometheus.CounterVec

	tokens     *prometheus.CounterVec
	turnedAway prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"camera"}, labels...))
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, NativeHistogramBucketFactor: 1.1,
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"camera"})
	}
	age, err := latency.FrameAge(reg)
	if err != nil {
		return nil, err
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"camera"})
	}
	m := &metrics{
		age:     age,
		bitrate: gauge("oodcast_encoder_bitrate_bits", "VP8 bits encoded in the last second; 0 without viewers."),
		viewers: gauge("oodcast_webrtc_viewers", "Viewers connected over WebRTC."),
		frames:  counter("oodcast_preview_frames_total", "Pictures by result: sent, skipped or error.", "result"),
		bytes:   counter("oodcast_preview_bytes_total", "VP8 bytes encoded, counted once for all viewers."),
		keys:    counter("oodcast_webrtc_keyframe_requests_total", "Requests for key frames by viewers."),
		encode:  histogram("oodcast_preview_encode_seconds", "Time to render and encode one picture."),
	}
	m.passed = gauge("oodcast_webrtc_passthrough_viewers", "Viewers over WebRTC who get the camera's H.264 as it is.")
	m.pictures = counter("oodcast_webrtc_passthrough_pictures_total",
		"Pictures of H.264 passed to viewers, by result: sent, or skipped by a viewer that waits for a key frame.", "result")
	m.tokens = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "oodcast_preview_wrong_tokens_total",
		Help: "Tokens that were wrong, and those that were not looked at because an address had sent too many wrong ones (limited).",
	}, []string{"result"})
	m.tokens.WithLabelValues("wrong")
	m.tokens.WithLabelValues("limited")
	m.turnedAway = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "oodcast_preview_connections_refused_total", Help: "Connections for which there was no room (preview.connections).",
	})
	for _, c := range []prometheus.Collector{
		m.frames, m.bytes, m.keys, m.encode, m.bitrate, m.viewers, m.passed, m.pictures, m.tokens,
		m.turnedAway,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
