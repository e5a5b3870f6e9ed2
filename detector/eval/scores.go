package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sbinet/npyio"
)

// ErrScores is returned for a score file that is missing, no two-dimensional float array, or of another size than its
// label mask.
var ErrScores = errors.New("eval: score file")

// ScoreFiles returns the visits of anyone's score files: for each image, dir/<name><suffix> as a NumPy array [H,W] of
// float32 or float64, higher = more anomalous, of the mask's size. Every image must have one.
func (d *Dataset) ScoreFiles(dir, suffix string) Visits {
	return func(ctx context.Context, visit func(x *Labelled) error) error {
		return d.visit(ctx, func(x *Labelled, _ []float32) ([]float32, error) {
			return readNPY(filepath.Join(dir, x.Item.Name+suffix), x.Width, x.Height)
		}, visit)
	}
}

func readNPY(path string, w, h int) (scores []float32, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScores, err)
	}
	defer f.Close()
	defer func() { // the reader panics on headers that it does not expect
		if r := recover(); r != nil {
			scores, err = nil, fmt.Errorf("%w %q: not a NumPy file: %v", ErrScores, path, r)
		}
	}()
	r, err := npyio.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrScores, path, err)
	}
	shape := r.Header.Descr.Shape
	if len(shape) != 2 || shape[0] != h || shape[1] != w || r.Header.Descr.Fortran {
		return nil, fmt.Errorf("%w %q: shape %v, want [%d %d] in C order like its mask", ErrScores, path, shape, h, w)
	}
	// npyio reads zeros beyond the end of the file, so the length is checked here.
	body, err := remaining(f)
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrScores, path, err)
	}
	switch typ := r.Header.Descr.Type; {
	case typ == "<f4" && body == 4*int64(w*h):
		err = r.Read(&scores)
	case typ == "<f8" && body == 8*int64(w*h):
		var wide []float64
		err = r.Read(&wide)
		scores = make([]float32, len(wide))
		for i, v := range wide {
			scores[i] = float32(v)
		}
	default:
		err = fmt.Errorf("%d bytes of type %s, want %d values of float32 or float64", body, typ, w*h)
	}
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrScores, path, err)
	}
	return scores, nil
}

// remaining is the number of bytes between the read position and the end of f.
func remaining(f *os.File) (int64, error) {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size() - at, nil
}
