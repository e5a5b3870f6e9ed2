package stream

import (
	"time"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
)

// Judge compares the events that the service would send for one clip with the labelled objects, frame by frame and without
// a latency: each map is done when its frame is shown. It is for evaluations that make the maps themselves.
type Judge struct {
	log      *eventLog
	objects  *instances
	labelled map[int]bool
	shown    time.Duration
	spanFrom time.Duration // of the anomalous frames without a mask that are open
	spanOpen bool
}

// NewJudge returns a judge for one clip. cfg.UpdateEvery is ignored.
func NewJudge(cfg events.Config) *Judge {
	cfg.UpdateEvery = 0
	return &Judge{log: newEventLog(cfg, 0), objects: &instances{}, labelled: map[int]bool{}}
}

// Frame takes the map of a frame that is shown at a time, and its truth: the labels of its pixels, with 1 for anomalous ones, or
// without labels whether anything in it is anomalous.
func (j *Judge) Frame(frame int, shown time.Duration, m *detector.Map, labels []uint8, width, height int, anomalous bool) {
	j.shown, j.labelled[frame] = shown, true
	switch {
	case labels != nil:
		j.objects.add(&view{index: frame, shown: shown, width: width, height: height, labels: labels}, 1)
	case anomalous && !j.spanOpen:
		j.spanFrom, j.spanOpen = shown, true
	case !anomalous && j.spanOpen:
		j.closeSpan(shown)
	}
	j.log.update(&shot{frame: frame, shown: shown, done: shown, m: m})
}

func (j *Judge) closeSpan(at time.Duration) {
	j.objects.fixed = append(j.objects.fixed, instance{from: j.spanFrom, to: at})
	j.spanOpen = false
}

// End returns the judgement over a clip of the given duration; nil if the maps have no threshold.
func (j *Judge) End(duration time.Duration) *Events {
	if j.spanOpen {
		j.closeSpan(duration)
	}
	j.log.end(j.shown)
	return j.log.result(j.objects.finish(), func(frame int) bool { return j.labelled[frame] }, duration)
}
