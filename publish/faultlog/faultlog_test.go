package faultlog_test

import (
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/faultlog"
)

// A fault is logged once a minute with its count, even if it comes and goes.
func TestFaultsAreLoggedNowAndThen(t *testing.T) {
	var l faultlog.Log
	now, lines := time.Now(), 0
	for i := range 1200 { // two minutes, ten attempts per second, every other one fails
		if i%2 == 1 {
			if l.Recovered("dir") {
				lines++
			}
			continue
		}
		times, due := l.Due("dir", now.Add(time.Duration(i)*100*time.Millisecond))
		if due {
			lines++
		}
		if i == 600 && (times != 300 || !due) {
			t.Errorf("%d faults in the first minute, logged %v, want 300", times, due)
		}
	}
	if lines != 4 {
		t.Errorf("%d lines in two minutes, want failure and recovery, twice", lines)
	}
}
