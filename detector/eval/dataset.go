package eval

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Errors of Open and Item.Labels.
var (
	ErrUnknownDataset = errors.New("eval: unknown data set")
	ErrNoImages       = errors.New("eval: no labelled image found")
	ErrLabels         = errors.New("eval: label mask")
)

// Item is one labelled image of a data set.
type Item struct {
	Name  string // the image's file name without its extension
	Image string // path
	Label string // path of the mask: 8-bit PNG, the image's size
}

// Dataset is a list of labelled images.
type Dataset struct {
	Name  string
	OOD   uint8 // the label of an anomalous pixel
	Items []Item
}

// layout is one way the files of a data set lie below its root.
type layout struct {
	images string   // glob of the images
	trim   string   // ending to drop from an image's stem
	labels []string // where the mask of stem %s may be
}

// Every data set also accepts the flat layout, which many copies of these sets use.
func flatLayouts() []layout {
	masks := []string{
		"labels_masks/%s.png", "labels_masks/%s_labels_semantic.png", "labels_masks/%s_mask.png",
		"annotations/%s.png", "annotations/%s_mask.png",
	}
	return []layout{{images: "images/*", labels: masks}, {images: "images/*", trim: "_image", labels: masks}}
}

// spec describes a data set by its official layouts. Sources: the data sets' own distributions, and the loaders of
// road-anomaly-benchmark and ade-ood.
type spec struct {
	ood     uint8
	layouts []layout
}

func specs() map[string]spec {
	smiyc := func(folder string) []layout {
		mask := []string{folder + "/labels_masks/%s_labels_semantic.png"}
		return []layout{{images: folder + "/images/*", labels: mask}, {images: folder + "/images_val/*", labels: mask}}
	}
	return map[string]spec{
		"roadanomaly": {2, []layout{
			{images: "frames/*", labels: []string{"frames/%s.labels/labels_semantic.png"}},
			{images: "RoadAnomaly_jpg/frames/*", labels: []string{"RoadAnomaly_jpg/frames/%s.labels/labels_semantic.png"}},
		}},
		"roadanomaly21":  {1, smiyc("dataset_AnomalyTrack")},
		"roadobstacle21": {1, smiyc("dataset_ObstacleTrack")},
		"fs_lostfound": {1, []layout{
			{images: "dataset_FishyLAF/images/*", labels: []string{"dataset_FishyLAF/labels/val/%s_fishy-labels.png"}},
			{images: "LostAndFound/original/*", labels: []string{"LostAndFound/labels/%s.png"}},
		}},
		"fs_static": {1, []layout{{images: "Static/original/*", labels: []string{"Static/labels/%s.png"}}}},
		"ade_ood":   {1, nil},
		"folder":    {1, nil},
	}
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
// name; images without a mask are left out. It returns [ErrUnknownDataset], or [ErrNoImages] with what it looked for.
func Open(name, root string) (*Dataset, error) {
	s, ok := specs()[name]
	if !ok {
		return nil, fmt.Errorf("%w %q: want one of %s", ErrUnknownDataset, name, strings.Join(Names(), ", "))
	}
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("data set %s: %w", name, err)
	}
	layouts := append(flatLayouts(), s.layouts...)
	for _, l := range layouts {
		items, err := l.items(root)
		if err != nil {
			return nil, fmt.Errorf("data set %s: %w", name, err)
		}
		if len(items) > 0 {
			return &Dataset{Name: name, OOD: s.ood, Items: items}, nil
		}
	}
	return nil, fmt.Errorf("%w below %q: want images/X.* with labels_masks/X.png, or the official layout of %s",
		ErrNoImages, root, name)
}

func (l layout) items(root string) ([]Item, error) {
	paths, err := filepath.Glob(filepath.Join(globEscape(root), l.images))
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, path := range paths {
		stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if filepath.Ext(path) == ".labels" || !strings.HasSuffix(stem, l.trim) {
			continue
		}
		for _, pattern := range l.labels {
			label := filepath.Join(root, fmt.Sprintf(pattern, strings.TrimSuffix(stem, l.trim)))
			if st, err := os.Stat(label); err == nil && st.Mode().IsRegular() {
				items = append(items, Item{Name: stem, Image: path, Label: label})
				break
			}
		}
	}
	return items, nil
}

// globEscape makes a folder's own name safe in a glob pattern.
func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// Labels reads the mask: labels row-major, width·height of them. Grey values are taken as they are, palette images by
// index, as the data sets' own loaders do.
func (it Item) Labels() (labels []uint8, width, height int, err error) {
	f, err := os.Open(it.Label)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%w %q: %w", ErrLabels, it.Label, err)
	}
	b := img.Bounds()
	width, height = b.Dx(), b.Dy()
	labels = make([]uint8, 0, width*height)
	switch m := img.(type) {
	case *image.Gray:
		for y := range height {
			labels = append(labels, m.Pix[y*m.Stride:][:width]...)
		}
	case *image.Paletted:
		for y := range height {
			labels = append(labels, m.Pix[y*m.Stride:][:width]...)
		}
	default: // grey stored as RGB: accept it only if it really is grey
		for y := range height {
			for x := range width {
				c := color.NRGBAModel.Convert(img.At(b.Min.X+x, b.Min.Y+y)).(color.NRGBA)
				if c.R != c.G || c.R != c.B {
					return nil, 0, 0, fmt.Errorf("%w %q: colour at %d,%d; want 8-bit labels", ErrLabels, it.Label, x, y)
				}
				labels = append(labels, c.R)
			}
		}
	}
	return labels, width, height, nil
}
