package detector

import (
	"time"
)

// Latency is where the time of a frame went.
type Latency struct {
	Wait   time.Duration // from the capture until the detector took the frame
	Encode time.Duration
	Score  time.Duration // denoiser, compound and map
	Total  time.Duration // from the capture until the map was ready
}

// Map is the anomaly map of one frame. It is read-only for everyone who receives it.
type Map struct {
	Camera                  string
	Seq                     uint64 // counts maps from 0, without gaps
	FrameSeq                uint64 // the frame's own number, with gaps where frames were dropped
	Captured                time.Time
	PTS                     time.Duration // position in the stream
	Width, Height           int           // grid of Values
	ImageWidth, ImageHeight int           // size of the frame
	Values                  []float32     // Height × Width, row-major; standardised, higher is more anomalous
	Timesteps               []int         // the timesteps that were used
	Threshold               float32       // values above count as anomalous
	Peak, Mean              float32
	Latency                 Latency
	Bundle, Provider        string
}

// ResizeTo stores the map, bilinearly resized to width × height, in dst and returns it; a short dst is replaced.
// Samples lie at pixel centres, as in the encoder's own resize.
func (m *Map) ResizeTo(dst []float32, width, height int) []float32 {
	return resizeTo(dst, m.Values, m.Width, m.Height, width, height)
}

// AboveThreshold returns the share of values above the threshold, 0 … 1.
func (m *Map) AboveThreshold() float64 {
	n := 0
	for _, v := range m.Values {
		if v > m.Threshold {
			n++
		}
	}
	return float64(n) / float64(max(1, len(m.Values)))
}
