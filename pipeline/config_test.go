package pipeline

import (
	"testing"

	"github.com/oodcast/oodcast/pipeline/queue"
)

func TestOverflow(t *testing.T) {
	for _, tt := range []struct {
		uri, overflow string
		realtime      bool
		want          queue.Overflow
	}{
		{"clip.mp4", "auto", false, queue.Wait},
		{"clip.mp4", "", false, queue.Wait},
		{"clip.mp4", "auto", true, queue.DropOldest},
		{"rtsp://cam/1", "auto", false, queue.DropOldest},
		{"rtsp://cam/1", "wait", false, queue.Wait},
		{"camera:0", "drop_latest", false, queue.DropLatest},
	} {
		cfg := testCamera("front")
		cfg.Source.URI, cfg.Source.Realtime, cfg.Queue.Overflow = tt.uri, tt.realtime, tt.overflow
		if got := cfg.overflow(); got != tt.want {
			t.Errorf("overflow() of %+v = %q, want %q", tt, got, tt.want)
		}
	}
}

func TestQueueConfigValidate(t *testing.T) {
	if err := DefaultQueueConfig().Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	err := QueueConfig{Overflow: "drop", QueueFrames: 257, MemoryMB: 15}.Validate()
	want := `overflow: got "drop", want auto, drop_oldest, drop_latest or wait` + "\n" +
		"queue_frames: got 257, want 1 to 256\nmemory_mb: got 15, want 16 to 65536"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
