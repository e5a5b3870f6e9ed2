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

// EndReason is why an event ended.
type EndReason string

// The reasons.
const (
	EndGone        EndReason = "gone"        // the region has been absent for Config.Hold
	EndMerged      EndReason = "merged"      // the region was absorbed by the region of the older event Event.Into
	EndStream      EndReason = "stream_end"  // the stream or the service ended
	EndPaused      EndReason = "paused"      // scoring was paused
	EndNoSignal    EndReason = "no_signal"   // the camera stopped delivering frames
	EndInterrupted EndReason = "interrupted" // the service was killed; it reports this when it starts again
)

// Box is a rectangle in fractions of the image size, 0 … 1 from the top left.
type Box struct {
	X      float64
	Y      float64
	Width  float64
	Height float64
}

// Event is an anomalous region that lasts.
type Event struct {
	ID       string // unique across all runs; lower-case letters, digits, _ and -
	Revision int    // counts the messages about the event, from 1
	Type     Type
	Category Category // may become another one while the event lasts
	Camera   string
	Zone     string    // name of the zone that the event began in; empty: none
	Start    time.Time // capture time of the first map with the region
	Time     time.Time // capture time of the map behind this message
	Box      Box
	// Polygon is the outline of the region, or of its largest component, in fractions of the image size: at most 32 corners,
	// clockwise.
	Polygon   [][2]float64
	Peak      float32   // highest value so far
	PeakTime  time.Time // capture time of the map with the peak
	Voice     string    // the loudest voice of the score at the peak, see detector.Voice; empty if the bundle's rule has none
	SeenAs    string    // the class that the network finds likeliest at the peak; empty if the bundle has no classes
	Mean      float32   // of the region in this map
	Area      float64   // of the region in this map, as a fraction of the image
	Duration  time.Duration
	Threshold float32
	Timesteps []int
	Bundle    string
	Reason    EndReason // why the event ended; empty before
	Into      string    // ID of the event that absorbed this one; empty unless Reason is EndMerged
	// Snapshot and Clip name a picture and a film of the event in the archive; empty if there is none.
	Snapshot, Clip string
}

// Observation is what happened on one camera at one time.
type Observation struct {
	// Frame and Map are the ones behind the events; both are nil when events end without a frame. The frame's reference stays
	// with the caller.
	Frame *ingest.Frame
	Map   *detector.Map
	// Events are the new messages, in order.
	Events []Event
	// Open are all events that have started and not ended, in their state after Events.
	Open []Event
}
