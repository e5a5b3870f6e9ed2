// Package latency defines the latency histograms. Several outlets observe the same one, so it belongs to none of them.
package latency

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Histogram returns a histogram of durations in seconds with the labels "camera" and label.
func Histogram(name, help, label string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		NativeHistogramBucketFactor: 1.1,
	}, []string{"camera", label})
}

// FrameAge returns the histogram of the age of frames when they reach a sink: "nats" or "preview". The first call for a
// registry registers it; later calls return the same histogram.
func FrameAge(reg prometheus.Registerer) (*prometheus.HistogramVec, error) {
	age := Histogram("oodcast_frame_age_seconds", "Age of frames when they reach the sink.", "sink")
	err := reg.Register(age)
	if registered, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return registered.ExistingCollector.(*prometheus.HistogramVec), nil
	}
	return age, err
}
