package preview

import "sync/atomic"

// slots are the viewers that Config.MaxViewers allows, of all cameras and over WebRTC and MJPEG together.
type slots struct {
	most  int32
	taken atomic.Int32
}

func newSlots(most int) *slots { return &slots{most: int32(most)} }

// take takes a slot, to be given back by free, and reports false when there is none.
func (s *slots) take() bool {
	if s.taken.Add(1) > s.most {
		s.taken.Add(-1)
		return false
	}
	return true
}

func (s *slots) free() { s.taken.Add(-1) }
