package models

// CityscapesClasses lists the 19 evaluation classes of Cityscapes in the order of their training labels.
func CityscapesClasses() []string {
	return []string{
		"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
		"sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
	}
}
