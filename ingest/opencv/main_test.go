package opencv_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/ingest/opencv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// checkMats fails when a matrix is still open; only builds with -tags matprofile can tell.
func checkMats(t *testing.T) {
	t.Helper()
	if n := opencv.OpenMats(); n > 0 {
		t.Errorf("%d OpenCV matrices are still open", n)
	}
}
