package main

import (
	"errors"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest/opencv"
)

// registerInfo adds metrics about the program itself: what it was built from, and which library and provider compute.
func registerInfo(reg prometheus.Registerer, provider ort.Provider) error {
	library := ""
	if rt, err := ort.Open(""); err == nil { // the engines use it already
		library = rt.Version()
		if err := rt.Close(); err != nil {
			return err
		}
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "oodcast_build_info", Help: "1; the labels say what runs.",
		ConstLabels: prometheus.Labels{
			"version": version, "revision": revision(), "goversion": runtime.Version(), "onnxruntime": library,
			"provider": string(provider),
		},
	})
	info.Set(1)
	err := reg.Register(info)
	if opencv.OpenMats() >= 0 { // known in builds with -tags matprofile only
		err = errors.Join(err, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "oodcast_opencv_mats", Help: "OpenCV matrices that are not closed.",
		}, func() float64 { return float64(opencv.OpenMats()) })))
	}
	return err
}

// revision is the commit that the program was built from, with "-dirty" when there was more than that; "unknown" outside
// a repository.
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
