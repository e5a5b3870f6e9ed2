package diffusion_test

import (
	"fmt"

	"github.com/oodcast/oodcast/detector/diffusion"
)

// Timesteps 103 … 338 separate features of deviation 1. |T|=5 takes the first five of the order.
func ExampleSpread() {
	lo, hi := diffusion.NewSchedule().UsefulRange(1)
	order := diffusion.Spread(lo, hi, 25)
	fmt.Println(lo, hi)
	fmt.Println(order[:1], order[:3], order[:5])
	// Output:
	// 103 338
	// [221] [221 103 338] [221 103 338 162 279]
}
