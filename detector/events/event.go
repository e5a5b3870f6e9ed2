package events

import (
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
)

// Type is a step in the life of an event.
type Type string

// The types of events.
const (
	Start  Type = "start"
	Update Type = "update"
	End    Type = "end"
)

// EndReason says why an event is over.
type EndReason string

// The reasons.
const (
	EndGone        EndReason = "gone"        // its region has been away for Config.Hold
	EndMerged      EndReason = "merged"      // its region became part of that of the older event Event.Into
	EndStream      EndReason = "stream_end"  // the stream or the service ended
	EndPaused      EndReason = "paused"      // scoring was paused
	EndNoSignal    EndReason = "no_signal"   // the camera stopped delivering
	EndInterrupted EndReason = "interrupted" // the service was killed; the next one to start tells that
)

// Box is a rectangle in parts of the image, 0 … 1 from the top left.
type Box struct {
	X      float64
	Y      float64
	Width  float64
	Height float64
}

// Event is an anomalous region that lasts.
type Event struct {
	ID       string // unique among all events of all runs; made of lower-case letters, digits, _ and -
	Revision int    // from 1, one more with every message about the event
	Type     Type
	Camera   string
	Start    time.Time // capture time of the first map with the region
	Time     time.Time // capture time of the map behind this message
	Box      Box
	// Polygon is the outline of the region, or of its largest part, in parts of the image: at most 32 corners, clockwise.
	Polygon   [][2]float64
	Peak      float32   // highest value so far
	PeakTime  time.Time // capture time of the map with the peak
	Mean      float32   // of the region, now
	Area      float64   // part of the image, now
	Duration  time.Duration
	Threshold float32
	Timesteps []int
	Bundle    string
	Reason    EndReason // of an end
	Into      string    // the event that a merged one became part of
	// Snapshot and Clip name a picture and a film of the event in the archive; empty where there is none.
	Snapshot, Clip string
}

// Observation is what happened in one camera at one time.
type Observation struct {
	// Frame and Map are those behind the events, both nil where events end without one. The frame's reference stays with the
	// caller.
	Frame *ingest.Frame
	Map   *detector.Map
	// Events are to be told now, in order.
	Events []Event
	// Open are all events that have started and not ended, as they are after Events.
	Open []Event
}
