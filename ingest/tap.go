package ingest

import "time"

// Tap receives what cameras send as H.264, before it is decoded. Sources without an end call it, from one goroutine per camera;
// the methods never wait.
type Tap interface {
	// Coding says what a camera sends from now on, and that it cannot be passed on any more; see there.
	Coding(Coding)
	// Listening reports whether AccessUnit is to be called for a camera. Nothing is copied otherwise.
	Listening(camera string) bool
	// AccessUnit hands over a picture.
	AccessUnit(*AccessUnit)
}

// Coding describes the H.264 of a camera. A camera that sends none, or is away, has one without a profile.
type Coding struct {
	// Camera is the name of the stream (Config.Name).
	Camera string
	// Profile, Constraints and Level are profile_idc, the constraint flags and level_idc of the sequence parameter set.
	Profile, Constraints, Level byte
	// Unfit says why the stream cannot be passed on to viewers who show pictures in the order in which they come, and cannot
	// ask for key frames; "" when it can.
	Unfit string
}

// Fit reports whether the stream can be passed on.
func (c Coding) Fit() bool { return c.Profile != 0 && c.Unfit == "" }

// AccessUnit is a picture of H.264 as the camera has sent it.
type AccessUnit struct {
	// Camera is the name of the stream (Config.Name).
	Camera string
	// Seq grows by 1 from unit to unit: a gap means that some are missing.
	Seq uint64
	// Read is when the unit was read from the stream, on this machine's clock.
	Read time.Time
	// Time is the time of the picture on the stream's clock, which begins anew with each connection.
	Time time.Duration
	// Key says that decoding can start here. The parameter sets come before the picture then.
	Key bool
	// Data is the picture in Annex B, with start codes. It is read-only.
	Data []byte
}
