package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrResults is the error of a file that is not a list of results.
var ErrResults = errors.New("eval: results")

// maxResults bounds the size of a result file in bytes: about a hundred thousand rows.
const maxResults = 64 << 20

// ReadResults reads the rows that oodcast eval --json wrote. It ignores unknown keys; a rate outside 0..1 is an error.
func ReadResults(r io.Reader) ([]Result, error) {
	d := json.NewDecoder(io.LimitReader(r, maxResults))
	var rows []Result
	if err := d.Decode(&rows); err != nil {
		return nil, fmt.Errorf("%w: %w: want the output of oodcast eval --json", ErrResults, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: no row", ErrResults)
	}
	for i, row := range rows {
		if row.Dataset == "" || row.Method == "" || row.Images < 0 || row.Timesteps < 0 {
			return nil, fmt.Errorf("%w: row %d: want dataset, method, images and timesteps", ErrResults, i)
		}
		rates := []float64{row.AP, row.AUROC, row.FPR95, row.OODShare}
		if b := row.Bootstrap; b != nil {
			rates = append(rates, b.APMean, b.APStd, b.FPR95Mean, b.FPR95Std)
		}
		for _, v := range rates {
			if !(v >= 0 && v <= 1) {
				return nil, fmt.Errorf("%w: row %d: rate %v, want 0 to 1", ErrResults, i, v)
			}
		}
	}
	return rows, nil
}
