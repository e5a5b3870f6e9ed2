package diffusion

import "math/rand/v2"

// Noise draws the standard normal noise of every (timestep, token, channel) from a seed. A value depends on these
// alone: not on the other tokens asked for, their order or tiling, so the same frame gets the same noise every time
// and a still scene does not flicker.
type Noise struct {
	Seed   uint64
	Draw   uint64 // another noise for each number
	Shared bool   // all tokens get the noise of the first
}

// drawStride keeps the seeds of the draws apart from one another and from seeds that people choose: 2⁶⁴ divided by the
// golden ratio.
const drawStride = 0x9e3779b97f4a7c15

// FillTo stores the noise of the tokens first, first+1 … at timestep t in dst (tokens × channels, row-major) and returns
// dst. A token is its row-major index in the grid.
func (n Noise) FillTo(dst []float32, t, first, channels int) []float32 {
	if channels <= 0 || len(dst)%channels != 0 {
		panic("diffusion: noise buffer is not a whole number of tokens")
	}
	for token := first; len(dst) >= channels*(token-first+1); token++ {
		at := uint64(t)<<40 | uint64(token)
		if n.Shared {
			at = uint64(t) << 40
		}
		r := rand.New(rand.NewPCG(n.Seed+n.Draw*drawStride, at))
		row := dst[(token-first)*channels:][:channels]
		for c := range row {
			row[c] = float32(r.NormFloat64())
		}
	}
	return dst
}
