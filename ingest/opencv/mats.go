//go:build !matprofile

package opencv

// OpenMats is the number of OpenCV matrices that are not closed. Only builds with -tags matprofile know it; others return
// -1.
func OpenMats() int { return -1 }
