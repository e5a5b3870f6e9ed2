package dataset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/oodcast/oodcast/detector/npy"
)

// ErrScores is the error of a score file that is missing, is not a two-dimensional float array, or differs in size from
// its label mask.
var ErrScores = errors.New("dataset: score file")

// ScoreFiles returns visits of score files of any origin: for each image, dir/<name><suffix> is a NumPy array [H,W] of
// float32 or float64 of the mask's size, higher = more anomalous. Every image must have one.
func (d *Dataset) ScoreFiles(dir, suffix string) Visits {
	return d.Visits(func(x *Labelled, _ []float32) ([]float32, error) {
		return readScores(filepath.Join(dir, x.Item.Name+suffix), x.Width, x.Height)
	})
}

func readScores(path string, w, h int) ([]float32, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScores, err)
	}
	defer f.Close()
	accept := func(width, height int) error {
		if width != w || height != h {
			return fmt.Errorf("shape (%d, %d), want (%d, %d) like its mask", height, width, h, w)
		}
		return nil
	}
	scores := make([]float32, 0, w*h)
	sizes := map[string]int{"<f4": 4, "<f8": 8}
	err = npy.ReadRows(bufio.NewReaderSize(f, 1<<16), sizes, accept, func(typ string, b []byte) error {
		if typ == "<f4" {
			for v := range slices.Chunk(b, 4) {
				scores = append(scores, math.Float32frombits(binary.LittleEndian.Uint32(v)))
			}
			return nil
		}
		for v := range slices.Chunk(b, 8) {
			scores = append(scores, float32(math.Float64frombits(binary.LittleEndian.Uint64(v))))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrScores, path, err)
	}
	return scores, nil
}
