package main

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// registerInfo registers metrics about the program itself: its version, its libraries and the provider in use.
func registerInfo(reg prometheus.Registerer, provider ort.Provider) error {
	library := ""
	if rt, err := ort.Open(""); err == nil { // already loaded by the engines
		library = rt.Version()
		if err := rt.Close(); err != nil {
			return err
		}
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "oodcast_build_info", Help: "Always 1; the labels hold the versions and the provider.",
		ConstLabels: prometheus.Labels{
			"version": version, "revision": revision(), "goversion": runtime.Version(), "onnxruntime": library,
			"provider": string(provider),
		},
	})
	info.Set(1)
	err := reg.Register(info)
	if opencv.OpenMats() >= 0 { // only in builds with -tags matprofile
		err = errors.Join(err, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "oodcast_opencv_mats", Help: "Number of open OpenCV matrices.",
		}, func() float64 { return float64(opencv.OpenMats()) })))
	}
	return err
}

// revision returns the commit that the program was built from, with "-dirty" if the working tree had changes; "unknown"
// outside a repository.
func revision() string {
	commit, dirty := "unknown", ""
	if b, ok := debug.ReadBuildInfo(); ok {
		for _, s := range b.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
	}
	return commit + dirty
}
