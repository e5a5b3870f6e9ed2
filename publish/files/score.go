package files

import (
	"fmt"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// Score is the JSON of one frame.
type Score struct {
	Source        string        `json:"source"`
	Frame         uint64        `json:"frame"`
	PTS           time.Duration `json:"pts_ns"`
	Width         int           `json:"width"`
	Height        int           `json:"height"`
	MapWidth      int           `json:"map_width"`
	MapHeight     int           `json:"map_height"`
	Peak          float32       `json:"peak"`
	Mean          float32       `json:"mean"`
	Threshold     float32       `json:"threshold"`
	AnomalousPart float64       `json:"anomalous_part"`
	Timesteps     []int         `json:"timesteps"`
	Bundle        string        `json:"bundle"`
	Provider      string        `json:"provider"`
	EncodeMS      float64       `json:"encode_ms"`
	ScoreMS       float64       `json:"score_ms"`
}

func newScore(source string, m *detector.Map) Score {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Score{
		Source: source, Frame: m.FrameSeq, PTS: m.PTS, Width: m.ImageWidth, Height: m.ImageHeight,
		MapWidth: m.Width, MapHeight: m.Height, Peak: m.Peak, Mean: m.Mean, Threshold: m.Threshold,
		AnomalousPart: m.AboveThreshold(), Timesteps: m.Timesteps, Bundle: m.Bundle, Provider: m.Provider,
		EncodeMS: ms(m.Latency.Encode), ScoreMS: ms(m.Latency.Score),
	}
}

// Summary is the result of an input: of its frames, the largest Peak, the mean AnomalousPart, EncodeMS and ScoreMS, and
// the other values of the last.
type Summary struct {
	Path   string
	Frames int
	// Resized is the number of frames that differ from the first in size: their maps in the array are resized to its grid.
	Resized int
	Score   Score
}

// summarise returns the summary of a video, which has a frame at least.
func summarise(path string, frames []Score) Summary {
	sum := Summary{Path: path, Frames: len(frames), Score: frames[len(frames)-1]}
	s := &sum.Score
	s.AnomalousPart, s.EncodeMS, s.ScoreMS = 0, 0, 0
	n := float64(len(frames))
	for _, f := range frames {
		s.Peak = max(s.Peak, f.Peak)
		s.AnomalousPart += f.AnomalousPart / n
		s.EncodeMS += f.EncodeMS / n
		s.ScoreMS += f.ScoreMS / n
	}
	return sum
}

// String returns the summary as one line for people.
func (s Summary) String() string {
	frames := "frames"
	if s.Frames == 1 {
		frames = "frame"
	}
	if s.Resized > 0 {
		frames += fmt.Sprintf(" (%d of another size than the first, resized to it)", s.Resized)
	}
	return fmt.Sprintf("%s: %d %s, peak %.2f, %.1f %% above %.2f, encode %.0f ms, score %.0f ms (|T|=%d, %s)", s.Path,
		s.Frames, frames, s.Score.Peak, 100*s.Score.AnomalousPart, s.Score.Threshold, s.Score.EncodeMS, s.Score.ScoreMS,
		len(s.Score.Timesteps), s.Score.Provider)
}
