package diffusion

import (
	"fmt"

	"github.com/oodcast/oodcast/models"
)

// Paper returns the paper's timesteps in ascending order of noise: {0 … n-1}.
func Paper(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// Spread returns n timesteps evenly spaced over lo … hi, in nested order: for every N, the first N of them are spread as
// well as N of them can be, starting from the middle. It panics unless 0 <= lo <= hi < models.Timesteps and lo … hi has
// at least n timesteps.
func Spread(lo, hi, n int) []int {
	if lo < 0 || hi >= models.Timesteps || hi-lo+1 < n || n < 1 {
		panic(fmt.Sprintf("diffusion: cannot spread %d timesteps over %d..%d", n, lo, hi))
	}
	even := make([]int, n)
	for i := range even {
		even[i] = (lo + hi) / 2
		if n > 1 {
			even[i] = lo + (i*(hi-lo)+(n-1)/2)/(n-1)
		}
	}
	taken := make([]bool, n)
	order := []int{even[n/2]}
	taken[n/2] = true
	for len(order) < n {
		// The farthest point is the timestep whose nearest neighbour in the order is farthest away.
		best, far := -1, -1
		for i, t := range even {
			if taken[i] {
				continue
			}
			near := models.Timesteps
			for _, o := range order {
				near = min(near, abs(t-o))
			}
			if near > far {
				best, far = i, near
			}
		}
		taken[best] = true
		order = append(order, even[best])
	}
	return order
}

func abs(x int) int {
	if x < 0 {
		return -x
	}
	return x
}

// ValidateTimesteps returns an error if a list of timesteps is empty, or if one is outside 0 … models.Timesteps-1 or
// repeated.
func ValidateTimesteps(timesteps []int) error {
	if len(timesteps) == 0 {
		return fmt.Errorf("timesteps: got none, want at least one of 0..%d", models.Timesteps-1)
	}
	seen := map[int]bool{}
	for _, t := range timesteps {
		if t < 0 || t >= models.Timesteps {
			return fmt.Errorf("timesteps: got %d, want 0..%d", t, models.Timesteps-1)
		}
		if seen[t] {
			return fmt.Errorf("timesteps: %d is named twice", t)
		}
		seen[t] = true
	}
	return nil
}
