package opencv

/*
#cgo pkg-config: opencv4 libavutil
#cgo CXXFLAGS: -std=c++11
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"strings"
	"unsafe"

	"gocv.io/x/gocv"
)

// Version is the version of the OpenCV library that the process runs with.
func Version() string { return gocv.OpenCVVersion() }

// Backends names OpenCV's video back ends, such as FFMPEG and GSTREAMER, in the order in which OpenCV tries them.
func Backends() []string {
	names := C.oodcast_backends()
	defer C.free(unsafe.Pointer(names))
	if s := C.GoString(names); s != "" {
		return strings.Split(s, ",")
	}
	return nil
}

// silence stops OpenCV, and FFmpeg below it, from logging to stderr: callers report errors themselves, without credentials.
func silence() { C.oodcast_silence() }
