// Package overlay draws what people see over a frame: the colours and the contour of its anomaly map, the darkened
// surroundings of the region of interest, a caption and a banner; and the map alone, in colours or in grey. The preview,
// the archive and `oodcast score` all use it, so one value has one colour everywhere.
//
// The colours depend on the threshold alone. A value below half the threshold leaves the frame as it is; from there
// the colour becomes denser and warmer: yellow at the threshold, red at twice the threshold and above. A white line
// marks where values cross the threshold. The type ramp is the only place that knows these numbers.
//
// Pictures are packed 8-bit RGB. Layer, Renderer and their buffers are not safe for concurrent use; one value serves one
// camera or one file.
package overlay
