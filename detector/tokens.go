package detector

import "slices"

// tokenScores holds the scores e_t of the tokens that must be scored. Its buffers are reused.
type tokenScores struct {
	cal      *Calibration
	all      []float32
	selected []float32 // of the tokens that were scored
}

// buffer returns the slice in which the scorer stores len(timesteps) rows of scores for the given tokens of n; nil: for all.
func (s *tokenScores) buffer(n int, tokens, timesteps []int) []float32 {
	s.all = grow(s.all, n*len(timesteps))
	if tokens == nil {
		return s.all
	}
	s.selected = grow(s.selected, len(tokens)*len(timesteps))
	return s.selected
}

// scatter expands the filled buffer to len(timesteps) rows of scores for all n tokens. Tokens that were left out get the mean
// score of normal footage. The result is valid until the next call.
func (s *tokenScores) scatter(n int, tokens, timesteps []int) []float32 {
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
			row[token] = s.selected[k*len(tokens)+i]
		}
	}
	return s.all
}
