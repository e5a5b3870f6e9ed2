package preview

import "sync/atomic"

// places are those of Config.MaxViewers, for all cameras and kinds of viewers together.
type places struct {
	most  int32
	taken atomic.Int32
}

func newPlaces(most int) *places { return &places{most: int32(most)} }

// book takes a place, which free gives back; false when there is none.
func (p *places) book() bool {
	if p.taken.Add(1) > p.most {
		p.taken.Add(-1)
		return false
	}
	return true
}

func (p *places) free() { p.taken.Add(-1) }
