package events

import (
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector"
)

func TestROIHidesRegionsFromEvents(t *testing.T) {
	inside, outside := rect{2, 2, 6, 6}, rect{30, 8, 36, 14}
	mask := detector.ROI{Include: []detector.Polygon{{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}}}.Mask(40, 20)
	for _, tt := range []struct {
		blob rect
		want bool
	}{{inside, true}, {outside, false}} {
		tr, seen := NewTracker(DefaultConfig()), false
		for i := range 20 {
			m := blobMap(time.Duration(i)*100*time.Millisecond, tt.blob, 9)
			m.ROI = mask
			if share := m.AboveThreshold(); (share > 0) != tt.want {
				t.Fatalf("share above the threshold = %v with the blob at %v", share, tt.blob)
			}
			seen = seen || len(tr.Update(m)) > 0
		}
		if seen != tt.want {
			t.Errorf("event of the blob at %v: %v, want %v", tt.blob, seen, tt.want)
		}
	}
}
