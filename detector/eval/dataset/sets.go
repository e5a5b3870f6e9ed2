package dataset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNotAnomalies means that the masks of a folder do not tell anomalous pixels from others.
var ErrNotAnomalies = errors.New("dataset: masks")

// Sets opens every data set in the folders of root, sorted by name. A folder with the name of a data set is opened as that set
// and any other as a set of no known origin with the folder's name. skipped has one error for each folder that is no
// labelled set. If none is, Sets returns [ErrNoImages].
func Sets(root string) (sets []*Dataset, skipped []error, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, fmt.Errorf("sets: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		if st, err := os.Stat(path); err != nil || !st.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		d, err := OpenSet(path)
		switch {
		case errors.Is(err, ErrNoImages):
			skipped = append(skipped, fmt.Errorf("%q holds no labelled image", e.Name()))
		case errors.Is(err, ErrNotAnomalies):
			skipped = append(skipped, fmt.Errorf("%q: %w", e.Name(), err))
		case err != nil:
			return nil, nil, err
		default:
			sets = append(sets, d)
		}
	}
	if len(sets) == 0 {
		return nil, skipped, fmt.Errorf("%w in the folders of %q: want DIR/SET/images/X.* with DIR/SET/labels_masks/X.png", ErrNoImages, root)
	}
	return sets, skipped, nil
}

// OpenSet opens the labelled set in the folder path: the data set that the folder is named after, or one of no known origin.
func OpenSet(path string) (*Dataset, error) {
	name := filepath.Base(path)
	if slices.Contains(Names(), name) && name != generic {
		return Open(name, path)
	}
	d, err := Open(generic, path)
	if err != nil {
		return nil, err
	}
	if _, _, err := d.FindOOD(); err != nil {
		return nil, err
	}
	// A mask of classes, such as those of a segmentation data set, may also hold the label 1.
	labels, err := d.values(-1)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(labels, func(v uint8) bool { return v != 0 && v != d.OOD && v != Ignore }); i >= 0 {
		return nil, fmt.Errorf("%w hold the label %d, want 0, %d and %d alone", ErrNotAnomalies, labels[i], d.OOD, Ignore)
	}
	if !slices.Contains(labels, d.OOD) {
		return nil, fmt.Errorf("%w hold no anomalous pixel", ErrNotAnomalies)
	}
	d.Name = name
	return d, nil
}
