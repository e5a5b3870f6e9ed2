package publish

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// While the disk is full, events are held in memory, in order and up to a bound; they are sent once the disk takes them.
func TestSpoolHoldsEventsWhileTheDiskIsFull(t *testing.T) {
	s := open(t, t.TempDir(), maxSpool)
	add := func(i int) error {
		_, err := s.add(schema.Event{ID: strconv.Itoa(i), Revision: 1, Type: string(events.Start), Camera: "front"})
		return err
	}
	if err := add(0); err != nil {
		t.Fatal(err)
	}
	disk := s.mu.lines
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0) // every write fails with ENOSPC
	if err != nil {
		t.Skip("SKIPPED: this system has no /dev/full")
	}
	defer full.Close()
	s.mu.lines = full
	const held = 100
	for i := range held {
		if err := add(1 + i); err != nil {
			t.Fatalf("event %d: %v", 1+i, err)
		}
	}
	if err := s.holding(); !errors.Is(err, syscall.ENOSPC) || !errors.Is(s.retry(), syscall.ENOSPC) {
		t.Errorf("holding() = %v, want that the disk is full", err)
	}
	for i := 1 + held; ; i++ {
		if err := add(i); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil || i > maxHeld/16 {
			t.Fatalf("event %d: %v, want a bound", i, err)
		}
	}
	s.mu.lines = disk
	if err := s.retry(); err != nil || s.holding() != nil {
		t.Errorf("with a disk again: retry() = %v, holding() = %v", err, s.holding())
	}
	for i := range 1 + held {
		e, size, err := s.next()
		if err != nil || e.ID != strconv.Itoa(i) {
			t.Fatalf("event %d is %q, %v", i, e.ID, err)
		}
		if err := s.done(e, size); err != nil {
			t.Fatal(err)
		}
	}
}
