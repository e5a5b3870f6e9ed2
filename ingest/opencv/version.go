package opencv

/*
#cgo pkg-config: opencv4
#cgo CXXFLAGS: -std=c++11
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"strings"
	"unsafe"

	"gocv.io/x/gocv"

	"github.com/oodcast/oodcast/ingest"
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

// resetLog, logReason and logChanged are about FFmpeg's messages of the calling thread: see shim.h. The goroutine must be
// locked to its thread.
func resetLog() { C.oodcast_log_reset() }

func logChanged() bool { return C.oodcast_log_changed() != 0 }

func logReason() string {
	var buf [256]C.char
	C.oodcast_log_reason(&buf[0], C.int(len(buf)))
	return ingest.RedactURI(strings.Join(strings.Fields(strings.ToValidUTF8(C.GoString(&buf[0]), "?")), " "))
}
