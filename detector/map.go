package detector

import (
	"fmt"
	"math"
	"time"
)

// Latency is the time that a frame spent in each stage.
type Latency struct {
	Wait   time.Duration // from the capture until the detector started on the frame
	Encode time.Duration
	Score  time.Duration // denoiser, compound and map
	Total  time.Duration // from the capture until the map was ready
}

// Map is the anomaly map of one frame. It is read-only for all receivers.
type Map struct {
	Camera                  string
	Seq                     uint64 // counts maps from 0, without gaps
	FrameSeq                uint64 // sequence number of the frame, with gaps where frames were dropped
	Captured                time.Time
	PTS                     time.Duration // position in the stream
	Width, Height           int           // grid of Values
	ImageWidth, ImageHeight int           // size of the frame
	Values                  []float32     // Height × Width, row-major; standardised, higher is more anomalous
	ROI                     *Mask         // cells that are judged; nil: all. The others hold the smallest judged value
	Voices                  []Voice       // the loudest voice of each cell; nil if the bundle's rule has no voices
	Seen                    []uint16      // index in Classes of the likeliest class of each cell; nil if the bundle has no classes
	Classes                 []string      // the names of the bundle's classes
	Taught                  int           // number of tokens that lessons made normal
	Timesteps               []int         // timesteps behind the values
	Scored                  int           // number of timesteps scored on this frame; the others were on earlier frames
	Choice                  *Choice       // how |T| was chosen; nil if the knob fixes it
	Threshold               float32       // values above it count as anomalous
	Drift                   Drift         // drift over the last minutes
	Peak, Mean              float32
	Latency                 Latency
	Bundle, Provider        string
}

// ResizeTo stores the map, bilinearly resized to width × height, in dst and returns it; a short dst is replaced.
// Samples lie at pixel centres, as in the encoder's own resize.
func (m *Map) ResizeTo(dst []float32, width, height int) []float32 {
	return resizeTo(dst, m.Values, m.Width, m.Height, width, height)
}

// Judged reports whether cell i lies in the region of interest.
func (m *Map) Judged(i int) bool { return m.ROI == nil || m.ROI.Inside[i] }

// JudgedCells returns the number of cells in the region of interest.
func (m *Map) JudgedCells() int {
	if m.ROI == nil {
		return len(m.Values)
	}
	return m.ROI.count
}

// AboveThreshold returns the share of the judged cells whose value is above the threshold, 0 … 1.
func (m *Map) AboveThreshold() float64 {
	n := 0
	for i, v := range m.Values {
		if v > m.Threshold && m.Judged(i) {
			n++
		}
	}
	return float64(n) / float64(max(1, m.JudgedCells()))
}

// summarise sets Peak and Mean over the judged cells and sets the other cells to the smallest judged value. It fails if a
// value is not finite.
func (m *Map) summarise() error {
	sum, peak, least := 0.0, float32(math.Inf(-1)), float32(math.Inf(1))
	for i, v := range m.Values {
		if !m.Judged(i) {
			continue
		}
		sum += float64(v)
		peak, least = max(peak, v), min(least, v)
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return fmt.Errorf("%w: camera %q, frame %d", ErrNotFinite, m.Camera, m.FrameSeq)
	}
	if m.ROI != nil {
		for i, in := range m.ROI.Inside {
			if !in {
				m.Values[i] = least
			}
		}
	}
	m.Peak, m.Mean = peak, float32(sum/float64(max(1, m.JudgedCells())))
	return nil
}
