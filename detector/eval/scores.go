package eval

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// ErrScores is returned for a score file that is missing, no two-dimensional float array, or of another size than its
// label mask.
var ErrScores = errors.New("eval: score file")

// ScoreFiles returns the visits of anyone's score files: for each image, dir/<name><suffix> as a NumPy array [H,W] of
// float32 or float64, higher = more anomalous, of the mask's size. Every image must have one.
func (d *Dataset) ScoreFiles(dir, suffix string) Visits {
	return func(ctx context.Context, visit func(x *Labelled) error) error {
		return d.visit(ctx, func(x *Labelled, _ []float32) ([]float32, error) {
			return readScores(filepath.Join(dir, x.Item.Name+suffix), x.Width, x.Height)
		}, visit)
	}
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
	err = readArray(bufio.NewReaderSize(f, 1<<16), map[string]int{"<f4": 4, "<f8": 8}, accept, func(typ string, b []byte) error {
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
