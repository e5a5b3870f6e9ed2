package dataset

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Ignore is the label of a pixel that does not count.
const Ignore = 255

// Errors of Open and Item.Labels.
var (
	ErrUnknown  = errors.New("dataset: unknown data set")
	ErrNoImages = errors.New("dataset: no labelled image found")
	ErrLabels   = errors.New("dataset: label mask")
)

// Item is one labelled image of a data set.
type Item struct {
	Name  string // file name of the image without its extension
	Image string // path
	Label string // path of the mask, of the image's size: PNG, BMP, TIFF, JPEG or .npy

	relabel *[256]uint8 // maps labels as read to those that Labels returns; nil: identity
}

// Dataset is a list of labelled images.
type Dataset struct {
	Name  string
	OOD   uint8 // label of an anomalous pixel
	Items []Item
}

// Names returns the names that Open knows, sorted.
func Names() []string {
	names := make([]string, 0, len(specs()))
	for name := range specs() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Open lists the labelled images of the named data set below root, in its official layout or the flat one, sorted by
// name. Images without a mask are left out. It returns [ErrUnknown] for a name it does not know, and [ErrNoImages],
// wrapped with the layouts it accepts, when it finds no image.
func Open(name, root string) (*Dataset, error) {
	s, ok := specs()[name]
	if !ok {
		return nil, fmt.Errorf("%w %q: want one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	for _, l := range slices.Concat(s.layouts, flatLayouts(), usualLayouts()) {
		items, err := l.items(root)
		if err != nil {
			return nil, fmt.Errorf("data set %s: %w", name, err)
		}
		if s.relabel != nil {
			table := relabelTable(s.relabel)
			for i := range items {
				items[i].relabel = table
			}
		}
		if len(items) > 0 {
			return &Dataset{Name: name, OOD: s.ood, Items: items}, nil
		}
	}
	return nil, fmt.Errorf("%w below %q: want images/X.* with labels_masks/X.png (or masks, ground_truth, annotations), or the official layout of %s",
		ErrNoImages, root, name)
}
