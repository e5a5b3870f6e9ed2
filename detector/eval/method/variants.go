package method

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oodcast/oodcast/detector"
)

// NewVariants makes a row of the compound map at |T| = n for each list of settings, whose assignments are those of
// models.Manifest.Set. The rows share one pass of the denoiser per image and list of timesteps, so that a row costs hardly
// more than its map. Each has the name of its settings and is a Trial.
func NewVariants(k *Kit, variants [][]string, n int) ([]Row, error) {
	if k.Variant == nil {
		return nil, fmt.Errorf("settings to choose from: the bundle %w", ErrNeedsDenoiser)
	}
	shared := &sharedScorer{scorer: k.Scorer}
	var rows []Row
	for _, settings := range variants {
		d, err := k.Variant(settings, shared, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{
			Method: VariantName(settings), Timesteps: n, Trial: true,
			Score: func(_ context.Context, x *Encoded) (*detector.Map, error) {
				shared.next(x)
				return d.ScoreEncoding(x.Encoding)
			},
		})
	}
	return rows, nil
}

// VariantName joins settings into the name of their row.
func VariantName(settings []string) string {
	if len(settings) == 0 {
		return "as the bundle has it"
	}
	return strings.Join(settings, ",")
}

// sharedScorer remembers the scores of one image at every list of timesteps, for detectors that differ in what they make of
// them. It charges the time of the denoiser to each of them.
type sharedScorer struct {
	scorer detector.Scorer
	image  *Encoded
	known  map[string]remembered // by timesteps
}

type remembered struct {
	scores []float32
	took   time.Duration
}

var _ detector.GridScorer = (*sharedScorer)(nil)

// next forgets the scores of another image.
func (s *sharedScorer) next(x *Encoded) {
	if s.image != x {
		s.image, s.known = x, map[string]remembered{}
	}
}

// Window tells detectors to score whole grids.
func (s *sharedScorer) Window() int { return 1 }

// ScoreGridTo stores the scores of the current image.
func (s *sharedScorer) ScoreGridTo(dst, features []float32, width, height int, timesteps []int) error {
	key := fmt.Sprint(width, height, timesteps, &features[0] == &s.image.Features[0]) // the second look may have the same size
	r, ok := s.known[key]
	if ok {
		s.image.charged += r.took
	} else {
		begun := time.Now()
		r.scores = make([]float32, len(dst))
		enc := &detector.Encoding{Features: features, Width: width, Height: height}
		if err := detector.ScoreEncoding(s.scorer, r.scores, enc, timesteps); err != nil {
			return err
		}
		r.took = time.Since(begun)
		s.known[key] = r
	}
	copy(dst, r.scores)
	return nil
}

// ScoreTo is ScoreGridTo for all features of the current image.
func (s *sharedScorer) ScoreTo(dst, features []float32, n int, timesteps []int) error {
	return s.ScoreGridTo(dst, features, n, 1, timesteps)
}

// Close leaves the scorer to its owner.
func (s *sharedScorer) Close() error { return nil }
