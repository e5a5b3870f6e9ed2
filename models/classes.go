package models

import "fmt"

// CityscapesClasses lists the 19 evaluation classes of Cityscapes in the order of their training labels.
func CityscapesClasses() []string {
	return []string{
		"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
		"sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
	}
}

// PascalVOCClasses lists the background and the 20 classes of Pascal VOC 2012 in the order of its labels.
func PascalVOCClasses() []string {
	return []string{
		"background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
		"dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
	}
}

// ADE20KClasses lists the 150 classes of the scene parsing benchmark of ADE20K in the order of its labels, which start at 1.
// Each has the first of its names.
func ADE20KClasses() []string {
	return []string{
		"wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
		"person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
		"shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
		"bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
		"skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table", "pillow",
		"screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower", "book", "hill",
		"bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat", "bar",
		"arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth",
		"television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman",
		"bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything",
		"swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball",
		"food", "step", "tank", "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen",
		"blanket", "sculpture", "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen",
		"plate", "monitor", "bulletin board", "shower", "radiator", "glass", "clock", "flag",
	}
}

// ClassNames returns the names of the classes of a network with n of them, if n tells whose they are: 19 for Cityscapes, 21
// for Pascal VOC, 150 for ADE20K. Otherwise they are "class 0", "class 1" and so on.
func ClassNames(n int) []string {
	for _, known := range [][]string{CityscapesClasses(), PascalVOCClasses(), ADE20KClasses()} {
		if len(known) == n {
			return known
		}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("class %d", i)
	}
	return names
}
