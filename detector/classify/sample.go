package classify

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/oodcast/oodcast/detector"
)

// mostBytes bounds the memory of a sample.
const mostBytes = 512 << 20

// whole is the share of a class that fills a cell.
const whole = 255

// sample is a random sample of labelled cells.
type sample struct {
	channels, classes int
	limit             int
	features          []float32 // cells × channels
	shares            []uint8   // cells × classes, in parts of whole
	seen              int       // labelled cells so far
	pixels, left      int       // pixels so far, and those among them that belong to no class
	counts            []int     // pixels of each class

	cellCounts []int
}

func newSample(channels, classes int) sample {
	return sample{channels: channels, classes: classes, limit: max(1, mostBytes/(4*channels+classes)), counts: make([]int, classes)}
}

func (s *sample) cells() int { return len(s.shares) / s.classes }

// add adds the cells of a frame. When there are too many, each cell that was ever added is kept with the same probability.
func (s *sample) add(r *rand.Rand, e *detector.Encoding, p picture) error {
	if e.Channels != s.channels {
		return fmt.Errorf("the encoder gives %d features, the bundle names %d", e.Channels, s.channels)
	}
	n := e.Width * e.Height
	s.cellCounts = append(s.cellCounts[:0], make([]int, n*(s.classes+1))...) // and last the pixels
	for y := range p.height {
		row := y * e.Height / p.height * e.Width
		for x, l := range p.labels[y*p.width:][:p.width] {
			cell := s.cellCounts[(row+x*e.Width/p.width)*(s.classes+1):]
			cell[s.classes]++
			if int(l) < s.classes {
				cell[l]++
				s.counts[l]++
			} else {
				s.left++
			}
		}
	}
	s.pixels += len(p.labels)
	for i := range n {
		cell := s.cellCounts[i*(s.classes+1):][:s.classes+1]
		labelled := 0
		for _, c := range cell[:s.classes] {
			labelled += c
		}
		if labelled == 0 {
			continue
		}
		features := e.Features[i*s.channels:][:s.channels]
		for _, v := range features {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return errors.New("the features are not finite")
			}
		}
		s.put(r, features, cell)
	}
	return nil
}

// put puts a cell into the sample, or does not.
func (s *sample) put(r *rand.Rand, features []float32, cell []int) {
	at := s.cells()
	s.seen++
	if at == s.limit {
		if at = r.IntN(s.seen); at >= s.limit {
			return
		}
	} else {
		s.features, s.shares = append(s.features, features...), append(s.shares, make([]uint8, s.classes)...)
	}
	copy(s.features[at*s.channels:], features)
	for k, c := range cell[:s.classes] {
		s.shares[at*s.classes+k] = uint8((whole*c + cell[s.classes]/2) / cell[s.classes])
	}
}

// check returns an error for labels that nothing can be learnt from.
func (s *sample) check(names []string) error {
	var missing []string
	for k, n := range s.counts {
		if n == 0 {
			missing = append(missing, names[k])
		}
	}
	if present := len(s.counts) - len(missing); present < 2 {
		return fmt.Errorf("%w: the frames to train on show %d of the %d classes (not %s): want two or more", ErrLabels, present, s.classes,
			strings.Join(missing, ", "))
	}
	return nil
}

// standardise scales every channel to mean 0 and deviation 1, and returns what it has subtracted and divided by.
func (s *sample) standardise() (mean, deviation []float64) {
	mean, deviation = make([]float64, s.channels), make([]float64, s.channels)
	n := float64(s.cells())
	for i, v := range s.features {
		mean[i%s.channels] += float64(v) / n
	}
	for i, v := range s.features {
		d := float64(v) - mean[i%s.channels]
		deviation[i%s.channels] += d * d / n
	}
	for j, v := range deviation {
		if deviation[j] = math.Sqrt(v); deviation[j] == 0 {
			deviation[j] = 1
		}
	}
	for i, v := range s.features {
		j := i % s.channels
		s.features[i] = float32((float64(v) - mean[j]) / deviation[j])
	}
	return mean, deviation
}
