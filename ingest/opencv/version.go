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

	"github.com/oodcast/oodcast/ingest/ffmpeg"
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

// silence turns the logs of OpenCV and FFmpeg to stderr off: callers report errors themselves, without credentials.
func silence() {
	C.oodcast_silence()
	ffmpeg.Silence()
}
