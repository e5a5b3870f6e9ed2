package graph

import "slices"

// broadcast returns the shape of the result of an elementwise operator on shapes a and b, and whether they fit.
func broadcast(a, b []int64) ([]int64, bool) {
	out := make([]int64, max(len(a), len(b)))
	for i := range out {
		x, y := dimAt(a, i-len(out)+len(a)), dimAt(b, i-len(out)+len(b))
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1 || x < 0: // an unknown dimension is 1 or equal to the known one
			out[i] = y
		case y < 0:
			out[i] = x
		default:
			return nil, false
		}
	}
	return out, true
}

func dimAt(s []int64, i int) int64 {
	if i < 0 {
		return 1
	}
	return s[i]
}

// axisOf turns an axis that may count from the end into an index, or returns -1.
func axisOf(axis, rank int) int {
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return -1
	}
	return axis
}

func withDim(s []int64, axis int, d int64) []int64 {
	s = slices.Clone(s)
	s[axis] = d
	return s
}

// addDims adds two dimensions, either of which may be unknown.
func addDims(a, b int64) int64 {
	if a < 0 || b < 0 {
		return -1
	}
	return a + b
}
