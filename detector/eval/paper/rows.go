package paper

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/method"
)

// NewRows makes the rows of the tables that kit allows. left holds one error per method that it does not allow.
func NewRows(kit *method.Kit) (rows []method.Row, left []error, err error) {
	for _, name := range Methods() {
		made, err := method.NewRows(kit, []string{name}, Timesteps(name))
		switch {
		case err == nil:
			rows = append(rows, made...)
		case errors.Is(err, method.ErrNeedsReference), errors.Is(err, method.ErrNeedsMasks), errors.Is(err, method.ErrNeedsClasses), errors.Is(err, method.ErrNeedsDenoiser):
			left = append(left, err)
		default:
			return nil, nil, err
		}
	}
	return rows, left, nil
}

// OpenDatasets opens the data sets of the tables below root, each in a folder with the name that Datasets returns. Sets
// without a folder are left out.
func OpenDatasets(root string) ([]*dataset.Dataset, error) {
	var sets []*dataset.Dataset
	for _, name := range Datasets() {
		d, err := dataset.Open(name, filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, d)
	}
	return sets, nil
}
