//go:build !matprofile

package opencv

// OpenMats is the number of OpenCV matrices that are not closed. It is known in builds with -tags matprofile only, else
// -1.
func OpenMats() int { return -1 }
