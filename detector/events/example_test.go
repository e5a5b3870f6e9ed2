package events_test

import (
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
)

// An object stands in the picture for a second.
func ExampleTracker() {
	tracker := events.NewTracker(events.DefaultConfig())
	for i := range 40 {
		m := &detector.Map{
			Camera: "yard", Captured: time.UnixMilli(int64(100 * i)).UTC(), Width: 4, Height: 2, Threshold: 3,
			Values: make([]float32, 8),
		}
		if i >= 5 && i <= 15 {
			m.Values[5], m.Values[6] = 5, 4
		}
		for _, e := range tracker.Update(m) {
			fmt.Printf("%v %s peak %.0f box %.2f,%.2f %.2f×%.2f after %d ms\n",
				e.Type, e.Camera, e.Peak, e.Box.X, e.Box.Y, e.Box.Width, e.Box.Height, e.Duration.Milliseconds())
		}
	}
	// Output:
	// start yard peak 5 box 0.25,0.50 0.50×0.50 after 500 ms
	// end yard peak 5 box 0.25,0.50 0.50×0.50 after 1000 ms
}
