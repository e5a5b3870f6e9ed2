// Package message turns maps and events of the detector into messages of package schema.
package message

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// Map returns the message for m without the values, which schema.Encoder adds.
func Map(site string, encoding schema.AnomalyMap_Encoding, m *detector.Map) *schema.AnomalyMap {
	timesteps := make([]uint32, len(m.Timesteps))
	for i, t := range m.Timesteps {
		timesteps[i] = uint32(t)
	}
	var roi []byte
	model := &schema.Model{Bundle: m.Bundle, Timesteps: timesteps, Provider: m.Provider}
	if c := m.Choice; c != nil {
		model.TimestepsReason, model.LatencyBudgetUs = string(c.Reason), micros(c.Budget)
	}
	if m.ROI != nil {
		roi = m.ROI.Bits()
	}
	origin := schema.ThisProcess()
	return &schema.AnomalyMap{
		Run: origin.Run, Process: origin.Process,
		Roi:     roi,
		Stamp:   timestamppb.New(m.Captured),
		FrameId: schema.OpticalFrame(m.Camera),
		Seq:     m.Seq, FrameSeq: m.FrameSeq,
		Site: site, Camera: m.Camera,
		Width: uint32(m.Width), Height: uint32(m.Height),
		ImageWidth: uint32(m.ImageWidth), ImageHeight: uint32(m.ImageHeight),
		CellWidth:  float32(m.ImageWidth) / float32(max(m.Width, 1)),
		CellHeight: float32(m.ImageHeight) / float32(max(m.Height, 1)),
		Encoding:   encoding,
		Peak:       m.Peak, Mean: m.Mean, Threshold: m.Threshold, Area: float32(m.AboveThreshold()),
		Model: model,
		Latency: &schema.Latency{
			WaitUs:   micros(m.Latency.Wait),
			EncodeUs: micros(m.Latency.Encode),
			ScoreUs:  micros(m.Latency.Score),
			TotalUs:  micros(m.Latency.Total),
		},
	}
}

func micros(d time.Duration) uint64 { return uint64(max(d, 0) / time.Microsecond) }

// Score returns the score of m: the map without its values.
func Score(site string, m *detector.Map) schema.Score {
	s := schema.Score{
		Origin: schema.ThisProcess(),
		Site:   site, Camera: m.Camera, Seq: m.Seq, FrameSeq: m.FrameSeq, Captured: m.Captured.UTC(),
		Peak: m.Peak, Mean: m.Mean, Threshold: m.Threshold, Area: float32(m.AboveThreshold()), Timesteps: m.Timesteps,
		LatencyMS: schema.NewLatencyMS(m.Latency.Wait, m.Latency.Encode, m.Latency.Score, m.Latency.Total),
		Bundle:    m.Bundle, Provider: m.Provider,
	}
	if c := m.Choice; c != nil {
		s.LatencyBudget, s.BudgetMissed, s.TimestepsReason = schema.Duration(c.Budget), c.Missed, string(c.Reason)
	}
	return s
}

// Event returns the message for e, which subscribers, the page and the archive receive.
func Event(site string, e events.Event) schema.Event {
	return schema.Event{
		Origin: schema.ThisProcess(),
		ID:     e.ID, Revision: e.Revision, Type: string(e.Type), Category: string(e.Category), Site: site, Camera: e.Camera,
		Zone:  e.Zone,
		Start: e.Start.UTC(), Time: e.Time.UTC(),
		Box:     schema.Box{X: e.Box.X, Y: e.Box.Y, Width: e.Box.Width, Height: e.Box.Height},
		Polygon: e.Polygon,
		Peak:    e.Peak, PeakTime: e.PeakTime.UTC(), Voice: e.Voice, SeenAs: e.SeenAs, Mean: e.Mean, Threshold: e.Threshold, Area: e.Area,
		DurationMS: e.Duration.Milliseconds(), Timesteps: e.Timesteps, Bundle: e.Bundle,
		Reason: string(e.Reason), Into: e.Into, Snapshot: e.Snapshot, Clip: e.Clip,
	}
}
