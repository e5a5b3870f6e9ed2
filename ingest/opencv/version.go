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
	"sync/atomic"
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

// beginLog names the calling thread, to which the goroutine must be locked, and those that it will make, in FFmpeg's
// log: see shim.h. The other functions are about that log.
func beginLog() (id int) {
	id = int(logIDs.Add(1)%C.OODCAST_LOG_IDS) + 1
	C.oodcast_log_begin(C.int(id))
	return id
}

// logIDs numbers captures: what they name is shared by the process.
var logIDs atomic.Uint32

func resetLog() { C.oodcast_log_reset() }

// logChanged tells whether the pictures may have changed their size (restarted) or certainly have (misfit).
func logChanged(id int) (restarted, misfit bool) {
	bits := C.oodcast_log_changed(C.int(id))
	return bits&C.OODCAST_LOG_RESTARTED != 0, bits&C.OODCAST_LOG_MISFIT != 0
}

func logReason() string {
	var buf [256]C.char
	C.oodcast_log_reason(&buf[0], C.int(len(buf)))
	return ingest.RedactURI(strings.Join(strings.Fields(strings.ToValidUTF8(C.GoString(&buf[0]), "?")), " "))
}
