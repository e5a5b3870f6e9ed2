package main

import (
	"regexp"
	"runtime"
	"testing"
	"time"
)

// The metrics name the versions of the program, compiler and library, the provider and the bundle.
func TestInfoMetrics(t *testing.T) {
	p, nc := yard(t)
	page := p.find(t, "page ")
	next(t, maps(t, nc), 30*time.Second)
	metrics := get(t, page+"metrics")
	for _, want := range []string{
		`(?m)^oodcast_build_info\{goversion="` + regexp.QuoteMeta(runtime.Version()) +
			`",onnxruntime="1\.\d+\.\d+",provider="cpu",revision="[0-9a-z-]+",version="[^"]+"\} 1$`,
		`(?m)^oodcast_model_info\{camera="yard",model="roadscene-s",provider="cpu",version="[^"]+"\} 1$`,
		`(?m)^oodcast_queue_capacity\{camera="yard",queue="score"\} [1-9]`,
		`(?m)^oodcast_anomaly_score\{camera="yard",quantile="0.99"\} [0-9]`,
	} {
		if !regexp.MustCompile(want).Match(metrics) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}
