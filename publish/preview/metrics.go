package preview

import "github.com/prometheus/client_golang/prometheus"

// metrics are what Prometheus sees of the preview.
type metrics struct {
	frames  *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	keys    *prometheus.CounterVec
	encode  *prometheus.HistogramVec
	age     *prometheus.HistogramVec
	viewers *prometheus.GaugeVec
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
	m := &metrics{
		frames: counter("oodcast_preview_frames_total", "Pictures by result: sent, skipped or error.", "result"),
		bytes:  counter("oodcast_preview_bytes_total", "VP8 bytes made, before they are sent to each viewer."),
		keys:   counter("oodcast_webrtc_keyframe_requests_total", "Key frames that viewers asked for."),
		encode: histogram("oodcast_preview_encode_seconds", "Rendering and encoding of one picture."),
		age:    histogram("oodcast_preview_age_seconds", "From capture until the picture is sent."),
		viewers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oodcast_webrtc_viewers", Help: "Viewers connected over WebRTC.",
		}, []string{"camera"}),
	}
	for _, c := range []prometheus.Collector{m.frames, m.bytes, m.keys, m.encode, m.age, m.viewers} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
