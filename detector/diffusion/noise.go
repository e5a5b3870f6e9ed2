package diffusion

import "math/rand/v2"

// Noise draws the standard normal noise of every (timestep, token, channel) from a seed. A value depends on nothing else,
// such as the tiling or which other tokens are drawn: the same frame always gets the same noise, and a still scene does
// not flicker.
type Noise struct {
	Seed   uint64
	Draw   uint64 // each number gives different noise
	Shared bool   // all tokens get the noise of the first one
}

// drawStride keeps the seeds of the draws apart from one another and from seeds that users choose: 2⁶⁴ divided by the
// golden ratio.
const drawStride = 0x9e3779b97f4a7c15

// FillTo stores the noise of the tokens first, first+1, … at timestep t in dst (tokens × channels, row-major) and returns
// dst. Tokens are numbered row by row in the grid.
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
