package flow

// The difference between a point and its origin, over a few pixels, that still passes for the same: noise, and a flow that is
// wrong by a part of a pixel, which shows where the picture has edges. An edge must be in both pictures: what has just
// appeared does not excuse itself by its own edges.
const (
	trustReach = 1   // of the pixels that are compared, around the point
	trustNoise = 4.0 // levels of 255
	trustError = 0.5 // pixels
)

// trust compares the surroundings of the point (x, y) with those of its origin.
func (l *level) trust(x, y, fx, fy float32) float32 {
	var diff, edgeNow, edgeThen float32
	for dy := -trustReach; dy <= trustReach; dy++ {
		for dx := -trustReach; dx <= trustReach; dx++ {
			ox, oy := float32(dx), float32(dy)
			now, then := sample(l.cur, l.w, l.h, x+ox, y+oy), sample(l.prev, l.w, l.h, fx+ox, fy+oy)
			diff += abs(now - then)
			if dx < trustReach {
				edgeNow += abs(sample(l.cur, l.w, l.h, x+ox+1, y+oy) - now)
				edgeThen += abs(sample(l.prev, l.w, l.h, fx+ox+1, fy+oy) - then)
			}
			if dy < trustReach {
				edgeNow += abs(sample(l.cur, l.w, l.h, x+ox, y+oy+1) - now)
				edgeThen += abs(sample(l.prev, l.w, l.h, fx+ox, fy+oy+1) - then)
			}
		}
	}
	const n = (2*trustReach + 1) * (2*trustReach + 1)
	const edges = 2 * (2 * trustReach) * (2*trustReach + 1)
	r := diff / n / (trustNoise + trustError*min(edgeNow, edgeThen)*2/edges)
	return 1 / (1 + r*r*r*r)
}

func abs(x float32) float32 { return max(x, -x) }
