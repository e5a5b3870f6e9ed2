package faultlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oodcast/oodcast/publish/faultlog"
)

// start is the time of the first fault.
var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func wantDue(t *testing.T, l *faultlog.Log, key string, after time.Duration, wantCount int, due bool) {
	t.Helper()
	if count, got := l.Due(key, start.Add(after)); count != wantCount || got != due {
		t.Errorf("Due(%q) after %v = %d, %v, want %d, %v", key, after, count, got, wantCount, due)
	}
}

// A fault is due at once and then once a minute, with the number of occurrences since the last line. Other faults have limits
// of their own.
func TestDue(t *testing.T) {
	var l faultlog.Log
	wantDue(t, &l, "disk", 0, 1, true)
	wantDue(t, &l, "disk", 0, 1, false)
	wantDue(t, &l, "disk", 59*time.Second, 2, false)
	wantDue(t, &l, "network", 59*time.Second, 1, true)
	wantDue(t, &l, "disk", time.Minute, 3, true)
	wantDue(t, &l, "disk", 119*time.Second, 1, false)
	wantDue(t, &l, "disk", time.Hour, 2, true)
}

func TestRecovered(t *testing.T) {
	var l faultlog.Log
	recovered := func(want bool) {
		t.Helper()
		if got := l.Recovered("disk"); got != want {
			t.Errorf("Recovered() = %v, want %v", got, want)
		}
	}
	recovered(false) // never occurred
	wantDue(t, &l, "disk", 0, 1, true)
	recovered(true)
	recovered(false)
	wantDue(t, &l, "disk", 30*time.Second, 1, false)
	recovered(false) // the log does not contain the second occurrence
	wantDue(t, &l, "disk", time.Minute, 2, true)
	recovered(true)
}

func TestForget(t *testing.T) {
	var l faultlog.Log
	wantDue(t, &l, "disk", 0, 1, true)
	l.Forget()
	if l.Recovered("disk") {
		t.Error("Recovered() = true for a forgotten fault")
	}
	wantDue(t, &l, "disk", time.Second, 1, true)
}

// The number of remembered faults is bounded: beyond it, faults are forgotten and logged again.
func TestManyFaults(t *testing.T) {
	var l faultlog.Log
	for i := range 1000 {
		wantDue(t, &l, fmt.Sprint(i), 0, 1, true)
	}
	wantDue(t, &l, "0", 0, 1, true)
}

func TestWarn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l faultlog.Log
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		for range 3 {
			l.Warn(log, "cannot write", errors.New("disk full"), "camera", "front")
		}
		time.Sleep(time.Minute)
		l.Warn(log, "cannot write", errors.New("disk full"), "camera", "front")
		var got []string
		for line := range strings.Lines(text.String()) {
			_, line, _ = strings.Cut(line, "level=")
			got = append(got, strings.TrimSpace(line))
		}
		const line = `WARN msg="cannot write" camera=front err="disk full"`
		if len(got) != 2 || got[0] != line || got[1] != line+" times=3" {
			t.Errorf("log has %q, want one line at once and one with the other 3 occurrences", got)
		}
	})
}
