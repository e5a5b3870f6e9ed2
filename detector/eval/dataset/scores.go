package dataset

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/detector/npy"
)

// ErrScores is the error of a score file that is missing, is not an array of one map of numbers, or differs in size from its
// label mask.
var ErrScores = errors.New("dataset: score file")

// ScoreFiles returns visits of score files of any origin: for each image, dir/<name><suffix> is a NumPy array [H,W] of
// real numbers of the mask's size, higher = more anomalous. Every image must have one.
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
	err = npy.ReadRows(bufio.NewReaderSize(f, 1<<16), npy.Numbers, accept, func(typ string, b []byte) error {
		scores = npy.AppendFloat32(scores, typ, b)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrScores, path, err)
	}
	return scores, nil
}
