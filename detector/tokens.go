package detector

import "slices"

// tokenScores holds e_t of the tokens that matter. Its buffers are reused.
type tokenScores struct {
	cal  *Calibration
	all  []float32
	some []float32
}

// room returns where the scorer shall store len(timesteps) rows of the scores of some of n tokens; nil: of all.
func (s *tokenScores) room(n int, tokens, timesteps []int) []float32 {
	s.all = grow(s.all, n*len(timesteps))
	if tokens == nil {
		return s.all
	}
	s.some = grow(s.some, len(tokens)*len(timesteps))
	return s.some
}

// spread returns len(timesteps) rows of the scores of all n tokens when room is filled. Tokens that were left out score as
// normal footage does on average. The result is valid until the next call.
func (s *tokenScores) spread(n int, tokens, timesteps []int) []float32 {
	if tokens == nil {
		return s.all
	}
	for k, t := range timesteps {
		row := s.all[k*n:][:n]
		normal := float32(s.cal.Mean[slices.Index(s.cal.Timesteps, t)])
		for i := range row {
			row[i] = normal
		}
		for i, token := range tokens {
			row[token] = s.some[k*len(tokens)+i]
		}
	}
	return s.all
}
