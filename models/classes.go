package models

// CityscapesClasses lists the 19 evaluation classes of Cityscapes in the order of their training labels.
func CityscapesClasses() []string {
	return []string{
		"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
		"sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
	}
}

// VOCClasses lists the 21 classes of PASCAL VOC in the order of their labels.
func VOCClasses() []string {
	return []string{
		"background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table", "dog",
		"horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv/monitor",
	}
}
