package diffusion

// ReverseTo stores x_{t-1} in dst and returns it, given x_t and the noise that the denoiser predicts in it. It is one step
// of the reverse chain without fresh noise (Song et al., "Denoising Diffusion Implicit Models", ICLR 2021, Eq. 12 with
// σ = 0). The step at t = 0 gives the reconstruction of x₀. dst may be xt.
func (s *Schedule) ReverseTo(dst, xt, pred []float32, t int) []float32 {
	if len(dst) != len(xt) || len(pred) != len(xt) {
		panic("diffusion: slice lengths do not match")
	}
	signal, noise := float64(s.signal[t]), float64(s.noise[t])
	before, noiseBefore := 1.0, 0.0
	if t > 0 {
		before, noiseBefore = float64(s.signal[t-1]), float64(s.noise[t-1])
	}
	for i, v := range xt {
		p := float64(pred[i])
		x0 := (float64(v) - noise*p) / signal
		dst[i] = float32(before*x0 + noiseBefore*p)
	}
	return dst
}

// Reconstruct noises the feature vectors x to timestep t with eps and runs the whole reverse chain, which takes t+1
// evaluations of the denoiser.
func (d *Denoiser) Reconstruct(s *Schedule, x, eps []float32, t int) ([]float32, error) {
	h := s.NoiseTo(make([]float32, len(x)), x, eps, t)
	for ; t >= 0; t-- {
		pred, err := d.Predict(h, t)
		if err != nil {
			return nil, err
		}
		s.ReverseTo(h, h, pred, t)
	}
	return h, nil
}
