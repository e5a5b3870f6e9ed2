package dataset

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// layout is one arrangement of a data set's files below its root.
type layout struct {
	images string // glob of the images
	trim   string // ending to drop from an image's stem
	// labels are globs of the places where the mask may be; the first that matches a file counts. {stem} stands for the
	// trimmed stem and {dir} for the name of the image's folder.
	labels []string
	skip   []string // beginnings of stems that belong to another split
	// byFolder puts the name of the image's folder in front of its own, because folders number their images alike.
	byFolder bool
}

// spec describes a data set: the label of its anomalous pixels and its official layouts.
type spec struct {
	ood     uint8
	layouts []layout
	relabel []uint8 // labels that become 1, while all others except Ignore become 0; nil: labels stay
}

// generic is the name of a data set of no known origin.
const generic = "folder"

// flatLayouts are accepted for every data set, because many copies of these sets have them.
func flatLayouts() []layout {
	masks := []string{
		"labels_masks/{stem}.png", "labels_masks/{stem}_labels_semantic.png", "labels_masks/{stem}_mask.png",
		"annotations/{stem}.png", "annotations/{stem}_mask.png",
	}
	return []layout{{images: "images/*", labels: masks}, {images: "images/*", trim: "_image", labels: masks}}
}

// usualLayouts are what people name the folders of their own data sets. They are accepted for every data set, last.
func usualLayouts() []layout {
	masksIn := func(dir, stem string) (globs []string) {
		for _, folder := range []string{"labels_masks", "annotations", "masks", "mask", "ground_truth", "gt", "labels"} {
			for _, suffix := range []string{"", "_mask", "_gt", "_label", "_labels"} {
				for _, ext := range maskEndings() {
					globs = append(globs, folder+dir+"/"+stem+suffix+ext)
				}
			}
		}
		return globs
	}
	var l []layout
	for _, images := range []string{"images", "image", "imgs", "img", "test"} {
		l = append(l, layout{images: images + "/*", labels: masksIn("", "{stem}")})
	}
	// MVTec: test/crack/000.png with ground_truth/crack/000_mask.png.
	return append(l, layout{images: "test/*/*", labels: masksIn("/{dir}", "{stem}"), byFolder: true})
}

// specs lists the data sets. Sources of the layouts:
//
//   - roadanomaly: the set's own archive (frames/X.jpg next to frames/X.labels/), which the configurations of DOoD and cDNP
//     read; 2 is anomalous.
//   - roadanomaly21, roadobstacle21: road-anomaly-benchmark (datasets/tracks.py); DOoD's configuration reads images_val.
//     The validation split of the obstacle track leaves out the sequences 19 and 21 to 29, which show night and snow.
//   - fs_lostfound, fs_static: the benchmark's copy (dataset_FishyLAF), the archives of Fishyscapes in the form that the
//     loaders of RbA expect (fs_val_v*, fishyscapes_lostandfound next to the images of Lost & Found), the packs of PEBAL
//     (original, labels), and DOoD's own copy (images/X_image.png, annotations/X_mask.png: the flat layout; its masks
//     need --ood-value 25).
//   - ade_ood: the archive, which has the flat layout (annotations/X_mask.png).
//   - wd_pascal: DOoD's code has no configuration of it; "Perception Datasets for Anomaly Detection in Autonomous Driving"
//     (its repository anomaly_datasets) reads img/N_img.png and label/N_label.npy; 1 is anomalous.
//   - dlrsd: no configuration either. The images are those of UC Merced Land Use and the masks index 17 classes, of which
//     the paper (appendix F) treats airplane 1, cars 4, court 6, sand 12, ship 14 and tanks 15 as anomalous.
func specs() map[string]spec {
	smiyc := func(folder string, skip ...string) (l []layout) {
		for _, root := range []string{"", folder + "/"} {
			mask := []string{root + "labels_masks/{stem}_labels_semantic.png"}
			l = append(l, layout{images: root + "images_val/*", labels: mask, skip: skip},
				layout{images: root + "images/*", labels: mask, skip: skip})
		}
		return l
	}
	night := []string{"validation_19"}
	for _, c := range "123456789" {
		night = append(night, "validation_2"+string(c))
	}
	return map[string]spec{
		"roadanomaly":    {ood: 2, layouts: roadAnomaly()},
		"roadanomaly21":  {ood: 1, layouts: smiyc("dataset_AnomalyTrack")},
		"roadobstacle21": {ood: 1, layouts: smiyc("dataset_ObstacleTrack", night...)},
		"fs_lostfound":   {ood: 1, layouts: lostAndFound()},
		"fs_static":      {ood: 1, layouts: fishyscapesStatic()},
		"ade_ood":        {ood: 1},
		"wd_pascal": {ood: 1, layouts: []layout{
			{images: "img/*", trim: "_img", labels: []string{"label/{stem}_label.npy", "label/{stem}_label.png"}},
		}},
		"dlrsd": {ood: 1, layouts: remoteSensing(), relabel: []uint8{1, 4, 6, 12, 14, 15}},
		generic: {ood: 1},
	}
}

func roadAnomaly() (l []layout) {
	for _, root := range []string{"", "RoadAnomaly_jpg/"} {
		l = append(l, layout{
			images: root + "frames/*", labels: []string{root + "frames/{stem}.labels/labels_semantic.png"},
		})
	}
	return l
}

func lostAndFound() []layout {
	// A mask's name starts with its number in the set; the rest is the name in Lost & Found.
	numbered := []string{
		"fishyscapes_lostandfound/[0-9][0-9][0-9][0-9]_{stem}_labels.png", "dataset_FishyLAF/labels/val/{stem}_fishy-labels.png",
	}
	return []layout{
		{images: "dataset_FishyLAF/images/*", labels: []string{"dataset_FishyLAF/labels/val/{stem}_fishy-labels.png"}},
		{images: "laf_images/*", trim: "_leftImg8bit", labels: numbered},
		{images: "leftImg8bit/*/*/*", trim: "_leftImg8bit", labels: numbered},
		{images: "LostAndFound/original/*", labels: []string{"LostAndFound/labels/{stem}.png"}},
	}
}

func fishyscapesStatic() (l []layout) {
	for _, version := range []string{"_v3", "_v2", "_v1", ""} {
		for _, images := range []string{"fs_static_images" + version, "fs_static_images"} {
			l = append(l, layout{
				images: images + "/*", trim: "_rgb", labels: []string{"fs_val" + version + "/{stem}_labels.png"},
			})
		}
	}
	return append(l, layout{images: "Static/original/*", labels: []string{"Static/labels/{stem}.png"}})
}

func remoteSensing() []layout {
	return []layout{
		{images: "UCMerced_LandUse/Images/*/*", labels: []string{"DLRSD/Labels/{dir}/{stem}.png", "DLRSD/Images/{dir}/{stem}.png"}},
		{images: "Images/*/*", labels: []string{"Labels/{dir}/{stem}.png"}},
		{images: "full_images/*", labels: []string{"full_1cmasks/{stem}.png"}},
	}
}

// items lists the images below root that have a mask, sorted by path.
func (l layout) items(root string) ([]Item, error) {
	paths, err := filepath.Glob(filepath.Join(escapeGlob(root), l.images))
	if err != nil {
		return nil, err
	}
	var items []Item
	for _, path := range paths {
		stem := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		otherSplit := func(beginning string) bool { return strings.HasPrefix(stem, beginning) }
		if filepath.Ext(path) == ".labels" || !strings.HasSuffix(stem, l.trim) || slices.ContainsFunc(l.skip, otherSplit) {
			continue
		}
		label, err := l.label(root, filepath.Base(filepath.Dir(path)), strings.TrimSuffix(stem, l.trim))
		if err != nil {
			return nil, err
		}
		name := stem
		if l.byFolder {
			name = filepath.Base(filepath.Dir(path)) + "_" + stem
		}
		if label != "" && label != path {
			items = append(items, Item{Name: name, Image: path, Label: label})
		}
	}
	return items, nil
}

// label returns the path of the mask for a stem and a folder, or "" when there is none.
func (l layout) label(root, dir, stem string) (string, error) {
	fill := strings.NewReplacer("{dir}", escapeGlob(dir), "{stem}", escapeGlob(stem))
	for _, pattern := range l.labels {
		matches, err := filepath.Glob(filepath.Join(escapeGlob(root), fill.Replace(pattern)))
		if err != nil {
			return "", err
		}
		for _, m := range matches {
			if st, err := os.Stat(m); err == nil && st.Mode().IsRegular() {
				return m, nil
			}
		}
	}
	return "", nil
}

// escapeGlob makes a name literal in a glob pattern.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
