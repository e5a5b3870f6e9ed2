package opencv_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/ingest/opencv"
)

func TestVersionAndBackends(t *testing.T) {
	if v := opencv.Version(); !strings.HasPrefix(v, "4.") {
		t.Errorf("Version() = %q", v)
	}
	if b := opencv.Backends(); !slices.Contains(b, "FFMPEG") {
		t.Errorf("Backends() = %q, want FFMPEG among them", b)
	}
}
