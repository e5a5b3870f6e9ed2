package ort_test

import (
	"cmp"
	"os"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/fit"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/source"
	"github.com/oodcast/oodcast/models"
)

// demoClip is Debian's vtest.avi: a fixed camera over a pavement, 768×576, 10 frames a second, 795 frames.
func demoClip(t testing.TB) string {
	t.Helper()
	for _, path := range []string{
		os.Getenv("OODCAST_DEMO_CLIP"), "/usr/share/doc/opencv-doc/examples/data/vtest.avi",
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatal("vtest.avi is missing: make deps installs it")
	return ""
}

// calibrate writes the default bundle, calibrated on other normal footage, to the folder out.
func calibrate(t *testing.T, normal, out string, edit func(*fit.Config)) {
	t.Helper()
	b, err := models.Open(models.Embedded)
	if err != nil {
		t.Fatal(err)
	}
	cfg := ingest.DefaultConfig()
	cfg.URI = normal
	src, err := source.New(cfg, ingest.NewPool(8), source.Settings{MayWait: true})
	if err != nil {
		t.Fatal(err)
	}
	opt := fit.Options{
		Config: fit.DefaultConfig(), Bundle: b, Out: out, CalibrateOnly: true,
		Sources: []ingest.Source{src}, SourceNames: []string{"normal"},
	}
	if edit != nil {
		edit(&opt.Config)
	}
	if _, err := fit.Run(t.Context(), opt); err != nil {
		t.Fatal(err)
	}
}

// percentile is the smallest value that p of all do not exceed.
func percentile[T cmp.Ordered](v []T, p float64) T {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}
