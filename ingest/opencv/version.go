package opencv

/*
#cgo pkg-config: opencv4
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

// Version is the version of the OpenCV library in use.
func Version() string { return gocv.OpenCVVersion() }

// Backends names OpenCV's video back ends, like FFMPEG and GSTREAMER, in the order it would try them.
func Backends() []string {
	names := C.oodcast_backends()
	defer C.free(unsafe.Pointer(names))
	if s := C.GoString(names); s != "" {
		return strings.Split(s, ",")
	}
	return nil
}

func silenceOpenCV() { C.oodcast_silence() }
