package fit

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/oodcast/oodcast/ingest"
)

// endless is a live source without frames: it ends only when it is stopped.
type endless struct{}

func (endless) Run(ctx context.Context, _ ingest.Sink) error {
	<-ctx.Done()
	return nil
}

func TestReadEndsALiveSource(t *testing.T) {
	c := &collector{limit: time.Millisecond}
	if err := c.read(t.Context(), endless{}); err != nil {
		t.Errorf("read() = %v", err)
	}
	if err := t.Context().Err(); err != nil {
		t.Errorf("the context of the fit is %v", err)
	}
}

func TestSourceName(t *testing.T) {
	clip := filepath.Join(t.TempDir(), "yard", "monday.mp4")
	if err := os.MkdirAll(filepath.Dir(clip), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(clip, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := SourceName(clip), filepath.Join("yard", "monday.mp4"); got != want {
		t.Errorf("SourceName(file) = %q, want %q", got, want)
	}
	const camera = "rtsp://me:secret@camera/live"
	if got, want := SourceName(camera), ingest.RedactURI(camera); got != want || got == camera {
		t.Errorf("SourceName(stream) = %q, want %q", got, want)
	}
}
