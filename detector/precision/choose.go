package precision

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// conversion is what it costs to turn an element into an integer or back, in multiplications that integers save. With 24 in its
// place, 32 more operators of the bundle roadscene are quantised, no millisecond is saved, and the noise of the features doubles.
const conversion = 90

// margin is the share of the map's noise that may be used up on the frames of the search: other frames move by more.
const margin = 0.8

// wanted is the share of the multiplications that would be quicker which is enough: what moves the map most for what it saves
// stays in float32 even where the noise would allow it.
const wanted = 0.95

// rankFrames is how many frames of the search show the effect of one operator.
const rankFrames = 2

// search chooses the operators that compute with integers.
type search struct {
	model  []byte
	ops    []graph.Quantisable
	seen   observed
	frames []*ingest.Frame
	det    *detector.Detector
	m      models.Manifest
	opts   ort.Options
	exact  mapList
	report func(string)
}

// choose returns the names of the operators that compute with integers: most of those that are quicker so, the map moving by at
// most limit.
func (s *search) choose(ctx context.Context, limit float64) ([]string, error) {
	all := make([]string, len(s.ops))
	for i, op := range s.ops {
		all[i] = op.Name
	}
	all = s.worth(all)
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: the encoder has no convolutions or products that are quicker with 8-bit integers", ErrNothing)
	}
	ranked, err := s.rank(ctx, all)
	if err != nil {
		return nil, err
	}
	low, high := 0, s.enough(ranked)+1 // ranked[:low] holds
	var best []string
	for middle := high - 1; high-low > 1; middle = (low + high) / 2 { // all that are wanted come first
		some := s.worth(ranked[:middle])
		moved, err := s.moved(ctx, some, s.frames)
		if err != nil {
			return nil, err
		}
		if moved <= margin*limit {
			low, best = middle, some
		} else {
			high = middle
		}
	}
	if len(best) == 0 {
		return nil, fmt.Errorf("%w: every operator that is quicker with 8-bit integers moves it by more than %.3f: keep this network in float32",
			ErrMoved, margin*limit)
	}
	return best, nil
}

// enough returns how many of the ranked operators have the wanted share of their multiplications.
func (s *search) enough(ranked []string) int {
	total, sum := 0.0, 0.0
	for _, name := range ranked {
		total += s.saves(name)
	}
	for i, name := range ranked {
		if sum += s.saves(name); sum >= wanted*total {
			return i + 1
		}
	}
	return len(ranked)
}

// saves returns the number of multiplications of an operator.
func (s *search) saves(name string) float64 {
	op := s.op(name)
	return float64(op.Work) * float64(s.seen.elements[op.Output])
}

// rank sorts operators by how far each alone moves the map, for what it saves.
func (s *search) rank(ctx context.Context, names []string) ([]string, error) {
	cost := map[string]float64{}
	for i, name := range names {
		moved, err := s.moved(ctx, []string{name}, s.frames[:min(rankFrames, len(s.frames))])
		if err != nil {
			return nil, err
		}
		cost[name] = moved * moved / s.saves(name)
		if (i+1)%10 == 0 || i+1 == len(names) {
			s.report(fmt.Sprintf("sensitivity of the map: %d of %d operators", i+1, len(names)))
		}
	}
	ranked := slices.Clone(names)
	slices.SortFunc(ranked, func(a, b string) int { return cmp.Or(cmp.Compare(cost[a], cost[b]), cmp.Compare(a, b)) })
	return ranked, nil
}

func (s *search) op(name string) graph.Quantisable {
	return s.ops[slices.IndexFunc(s.ops, func(o graph.Quantisable) bool { return o.Name == name })]
}

// moved returns how far the map moves on frames, the first of the search, when operators compute with integers.
func (s *search) moved(ctx context.Context, names []string, frames []*ingest.Frame) (moved float64, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	model, err := quantised(s.model, names, s.seen.ranges)
	if err != nil {
		return 0, err
	}
	err = variant(model, s.opts, func(enc *ort.Encoder) error {
		got, err := scored(ctx, s.m, enc, s.det, frames)
		if err == nil {
			moved = s.exact[:len(frames)].rms(got)
		}
		return err
	})
	return moved, err
}

func quantised(model []byte, names []string, ranges map[string]graph.Range) ([]byte, error) {
	m, err := graph.Parse(model)
	if err == nil {
		err = m.Quantise(names, ranges)
	}
	if err != nil {
		return nil, err
	}
	return m.Marshal(), nil
}

// worth leaves out operators that save less than the conversions around them cost, until none is left to leave out.
func (s *search) worth(names []string) []string {
	for {
		chosen := map[string]bool{}
		made, readers := map[string]bool{}, map[string]int64{}
		for _, name := range names {
			op := s.op(name)
			chosen[name], made[op.Output] = true, true
			readers[op.Input]++
		}
		kept := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			op := s.op(name)
			out := s.seen.elements[op.Output]
			gain := int64(op.Work) * out
			if !made[op.Input] {
				gain -= conversion * s.seen.elements[op.Input] / readers[op.Input]
			}
			if op.Floats || slices.ContainsFunc(op.Feeds, func(user string) bool { return !chosen[user] }) {
				gain -= conversion * out
			}
			return gain <= 0
		})
		if len(kept) == len(names) {
			return kept
		}
		names = kept
	}
}
