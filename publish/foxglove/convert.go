package foxglove

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// Encodings of a map as an image.
const (
	Float  = "32FC1"  // the standardised values themselves; NaN outside the region of interest
	Mono16 = "mono16" // Level, 0..65535
	Mono8  = "mono8"  // Level, 0..255
)

// Level maps a standardised value to 0..1 on a scale that is the same for all frames: 0.5 is the threshold, and 0 is the
// average score of normal footage if the threshold is at least 1. If the threshold is between −1 and 1, the scale ranges from
// one standard deviation below it to one above.
func Level(value, threshold float32) float64 {
	half := math.Max(math.Abs(float64(threshold)), 1)
	return math.Min(math.Max(0.5+(float64(value)-float64(threshold))/(2*half), 0), 1)
}

// Image returns a map as a picture with one pixel per cell, in one of the encodings above.
func Image(m client.Map, encoding string) (*RawImage, error) {
	bytesEach, ok := map[string]int{Float: 4, Mono16: 2, Mono8: 1}[encoding]
	if !ok {
		return nil, fmt.Errorf("foxglove: image encoding %q: want %s, %s or %s", encoding, Float, Mono16, Mono8)
	}
	data := make([]byte, 0, bytesEach*len(m.Values))
	for i, v := range m.Values {
		judged := m.Judged(i%int(m.GetWidth()), i/int(m.GetWidth()))
		level := 0.0
		if judged {
			level = Level(v, m.GetThreshold())
		}
		switch encoding {
		case Float:
			data = appendFloat(data, v, judged)
		case Mono16:
			data = binary.LittleEndian.AppendUint16(data, uint16(math.Round(level*math.MaxUint16)))
		case Mono8:
			data = append(data, byte(math.Round(level*math.MaxUint8)))
		}
	}
	return &RawImage{
		Timestamp: m.GetStamp(), FrameId: m.GetFrameId(), Width: m.GetWidth(), Height: m.GetHeight(),
		Encoding: encoding, Step: m.GetWidth() * uint32(bytesEach), Data: data,
	}, nil
}

func appendFloat(data []byte, v float32, judged bool) []byte {
	if !judged {
		v = float32(math.NaN())
	}
	return binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
}

// MapGrid returns a map as a plane in front of the camera: in its optical frame (x right, y down, z forward), 1 m away, centred
// and 1 m wide. The true width would depend on the lens, which is unknown. Each cell has the float32 fields "value"
// (standardised; NaN outside the region of interest) and "level" (see Level).
func MapGrid(m client.Map) *Grid {
	w, h := m.GetWidth(), m.GetHeight()
	cellW := 1 / float64(w)
	cellH := cellW
	if m.GetCellWidth() > 0 {
		cellH = cellW * float64(m.GetCellHeight()) / float64(m.GetCellWidth())
	}
	data := make([]byte, 0, 8*len(m.Values))
	for i, v := range m.Values {
		judged := m.Judged(i%int(w), i/int(w))
		data = appendFloat(data, v, judged)
		data = appendFloat(data, float32(Level(v, m.GetThreshold())), judged)
	}
	return &Grid{
		Timestamp: m.GetStamp(), FrameId: m.GetFrameId(),
		Pose: &Pose{
			Position:    &Vector3{X: -0.5, Y: -cellH * float64(h) / 2, Z: 1},
			Orientation: &Quaternion{W: 1},
		},
		ColumnCount: w, CellSize: &Vector2{X: cellW, Y: cellH}, RowStride: 8 * w, CellStride: 8,
		Fields: []*PackedElementField{
			{Name: "value", Offset: 0, Type: PackedElementField_FLOAT32},
			{Name: "level", Offset: 4, Type: PackedElementField_FLOAT32},
		},
		Data: data,
	}
}

// Annotations returns the outlines and peaks of events for a picture of width × height pixels with the capture time stamp. An
// outline is the polygon of the event, or its box if it has none. Without events, the message clears earlier annotations.
func Annotations(events []schema.Event, width, height int, stamp *timestamppb.Timestamp) *ImageAnnotations {
	w, h := float64(width), float64(height)
	red, white, dark := &Color{R: 1, G: 0.2, B: 0.1, A: 1}, &Color{R: 1, G: 1, B: 1, A: 1}, &Color{A: 0.6}
	thickness := math.Max(w/320, 0.5)
	out := &ImageAnnotations{Timestamp: stamp}
	for _, e := range events {
		metadata := []*KeyValuePair{
			{Key: "id", Value: e.ID},
			{Key: "peak", Value: fmt.Sprintf("%.2f", e.Peak)},
			{Key: "revision", Value: fmt.Sprint(e.Revision)},
		}
		corners := e.Polygon
		if len(corners) < 3 {
			x0, y0, x1, y1 := e.Box.X, e.Box.Y, e.Box.X+e.Box.Width, e.Box.Y+e.Box.Height
			corners = [][2]float64{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}
		}
		line := &PointsAnnotation{
			Timestamp: stamp, Type: PointsAnnotation_LINE_LOOP, OutlineColor: red, Thickness: thickness, Metadata: metadata,
		}
		for _, c := range corners {
			line.Points = append(line.Points, &Point2{X: c[0] * w, Y: c[1] * h})
		}
		out.Points = append(out.Points, line)
		out.Texts = append(out.Texts, &TextAnnotation{
			Timestamp: stamp, Position: &Point2{X: e.Box.X * w, Y: e.Box.Y * h},
			Text: fmt.Sprintf("%.1f", e.Peak), FontSize: math.Max(w/48, 1), TextColor: white, BackgroundColor: dark,
			Metadata: metadata,
		})
	}
	return out
}

// EventLog returns a log line about the start (a warning) or the end (an info) of an event.
func EventLog(e schema.Event) *Log {
	l := &Log{Timestamp: timestamppb.New(e.Time), Level: Log_WARNING, Name: e.Camera}
	l.Message = fmt.Sprintf("event %s %s: peak %.1f, %.2f %% of the image at %.0f%%,%.0f%%",
		e.ID, e.Type, e.Peak, 100*e.Area, 100*(e.Box.X+e.Box.Width/2), 100*(e.Box.Y+e.Box.Height/2))
	if e.Type == "end" {
		l.Level = Log_INFO
		l.Message = fmt.Sprintf("event %s end: peak %.1f, lasted %v",
			e.ID, e.Peak, time.Duration(e.DurationMS)*time.Millisecond)
	}
	return l
}

// StatusLog returns a log line about a camera's state: an error if it is down, and a warning if it is stalled or connecting.
func StatusLog(s schema.Status) *Log {
	level := Log_INFO
	switch s.State {
	case schema.StateDown:
		level = Log_ERROR
	case schema.StateStalled, schema.StateConnecting:
		level = Log_WARNING
	}
	text := "camera " + s.State
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return &Log{Timestamp: timestamppb.New(s.Time), Level: level, Name: s.Camera, Message: text}
}

// Picture returns a snapshot as a Foxglove image.
func Picture(s client.Snapshot) *CompressedImage {
	return &CompressedImage{
		Timestamp: timestamppb.New(s.Captured), FrameId: schema.OpticalFrame(s.Camera), Data: s.JPEG, Format: "jpeg",
	}
}
