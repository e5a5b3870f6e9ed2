package ort

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/oodcast/oodcast/detector"
)

var _ detector.GridScorer = (*Scorer)(nil)

var errWindow = errors.New("score: a denoiser with a window scores only whole grids")

// Window returns the side length of the squares of features that the denoiser sees at once; 0 if it sees each feature on
// its own.
func (s *Scorer) Window() int { return s.window }

// ScoreGridTo stores e_t of a grid of width × height features in dst, as len(timesteps) rows. A denoiser with a window sees
// the grid in squares side by side. The last square of a row or a column may overlap the previous one, and a grid that is
// smaller than a square is extended by repeating its edge. ScoreGridTo is not safe for concurrent use.
func (s *Scorer) ScoreGridTo(dst, features []float32, width, height int, timesteps []int) error {
	n := width * height
	if s.window == 0 {
		return s.ScoreTo(dst, features, n, timesteps)
	}
	if len(features) != n*s.channels || len(dst) != n*len(timesteps) || n == 0 || len(timesteps) == 0 {
		return fmt.Errorf("score: got %d features and room for %d scores, want %d and %d",
			len(features), len(dst), n*s.channels, n*len(timesteps))
	}
	var squares [][]int
	for _, y := range starts(height, s.window) {
		for _, x := range starts(width, s.window) {
			squares = append(squares, square(x, y, s.window, width, height))
		}
	}
	s.scored.Add(uint64(len(squares) * s.window * s.window * len(timesteps)))
	results := make([][]float32, len(squares))
	errs := make([]error, len(s.sessions))
	var next atomic.Int64
	var wg sync.WaitGroup
	for i, session := range s.sessions {
		wg.Go(func() {
			for k := next.Add(1) - 1; int(k) < len(squares) && errs[i] == nil; k = next.Add(1) - 1 {
				results[k], errs[i] = s.scoreSquare(session, features, squares[k], timesteps)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("score windows of %d×%d at %v: %w", width, height, timesteps, err)
	}
	for i, tokens := range squares {
		for k := range timesteps {
			for j, token := range tokens {
				dst[k*n+token] = results[i][k*len(tokens)+j]
			}
		}
	}
	return nil
}

// starts returns the positions at which squares begin along a side of length n.
func starts(n, side int) []int {
	at := []int{0}
	for x := side; x < n; x += side {
		at = append(at, min(x, n-side))
	}
	return at
}

// square returns the tokens of the square at (x, y), row by row; outside the grid, those of the nearest edge.
func square(x, y, side, width, height int) []int {
	tokens := make([]int, 0, side*side)
	for dy := range side {
		for dx := range side {
			tokens = append(tokens, min(y+dy, height-1)*width+min(x+dx, width-1))
		}
	}
	return tokens
}

// scoreSquare returns the scores of the tokens of a square, as len(timesteps) rows.
func (s *Scorer) scoreSquare(session *Session, features []float32, tokens, timesteps []int) (_ []float32, err error) {
	n, k, c := int64(len(tokens)), int64(len(timesteps)), int64(s.channels)
	tensors := make([]*Tensor, 4) // features, noise, timesteps; scores
	defer func() {
		for _, t := range tensors {
			err = errors.Join(err, t.Close())
		}
	}()
	var errX, errNoise, errSteps, errScores error
	tensors[0], errX = NewTensor[float32]([]int64{n, c}, nil)
	tensors[1], errNoise = NewTensor[float32]([]int64{k, n, c}, nil)
	tensors[2], errSteps = NewTensor[int64]([]int64{k}, nil)
	tensors[3], errScores = NewTensor[float32]([]int64{k, n}, nil)
	if err := errors.Join(errX, errNoise, errSteps, errScores); err != nil {
		return nil, err
	}
	x, noise := Data[float32](tensors[0]), Data[float32](tensors[1])
	for j, token := range tokens {
		copy(x[j*s.channels:][:s.channels], features[token*s.channels:])
	}
	for i, t := range timesteps {
		Data[int64](tensors[2])[i] = int64(t)
		for j, token := range tokens {
			s.noise.FillTo(noise[(i*len(tokens)+j)*s.channels:][:s.channels], t, token, s.channels)
		}
	}
	if err := session.Run(tensors[:3], tensors[3:]); err != nil {
		return nil, err
	}
	return append([]float32(nil), Data[float32](tensors[3])...), nil
}
