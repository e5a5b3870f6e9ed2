package detector

import "slices"

// tokenScores computes e_t of the tokens that matter. Its buffers are reused.
type tokenScores struct {
	scorer Scorer
	cal    *Calibration
	all    []float32
	some   []float32
}

// of returns len(timesteps) rows of the scores of all tokens of an encoding. Tokens that are left out score as normal
// footage does on average. The result is valid until the next call.
func (s *tokenScores) of(enc *Encoding, tokens, timesteps []int) ([]float32, error) {
	n := enc.Width * enc.Height
	s.all = grow(s.all, n*len(timesteps))
	partial, ok := s.scorer.(TokenScorer)
	grid, isGrid := s.scorer.(GridScorer)
	if tokens == nil || !ok || isGrid && grid.Window() > 0 {
		return s.all, ScoreEncoding(s.scorer, s.all, enc, timesteps)
	}
	s.some = grow(s.some, len(tokens)*len(timesteps))
	if err := partial.ScoreTokensTo(s.some, enc.Features, tokens, timesteps); err != nil {
		return nil, err
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
	return s.all, nil
}
