//go:build matprofile

package opencv

import "gocv.io/x/gocv"

// OpenMats is the number of OpenCV matrices that are not closed.
func OpenMats() int { return gocv.MatProfile.Count() }
