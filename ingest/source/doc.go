// Package source reads frames from every kind of address: [New] returns the ingest.Source that an ingest.Config describes.
//
// The address decides which reader is used (reader.go):
//
//	rtsp://, http://, udp://, …   film     FFmpeg (package ffmpeg), decoding without delay
//	a video file                  film     FFmpeg, decoding ahead in parallel
//	a picture, a folder of them   folder   OpenCV's picture decoders (package opencv)
//	camera:N                      opencv.Capture, Video4Linux
//	gst:PIPELINE                  opencv.Capture, GStreamer
//
// A film over HTTP that says where it ends is read as a file, at its own speed. A stream of JPEG pictures over HTTP is taken
// apart by package ffmpeg itself, because many cameras frame it badly.
//
// A reader reports the size of the next picture and then writes its pixels, packed RGB, straight into a frame of the pool, in
// the size that the configuration wants. A picture that is dropped is never converted. To add a reader, implement the
// interface reader, return it from newReader, and teach ingest.ParseURI its addresses; everything else (pace, rate limit,
// stream time, loops, drops, time-outs, counts) is common to all readers.
//
// An ingest.Tap (Settings.Tap) gets the packets of a network stream of H.264 as they come, before they are decoded: tap.go.
//
// One goroutine owns Open, Next, RGB and Close of a reader. A call into FFmpeg ends when the source is to stop, after
// Config.OpenTimeout (opening), or when no packet has come for Config.ReadTimeout (reading). The limit is for packets and not
// for pictures: a stream may begin with many that nothing can be decoded from, because its key frames are far apart. A call
// into OpenCV cannot be cancelled: after the same times a watchdog abandons it. An abandoned capture
// cleans up when its call returns; ingest.Stats counts the abandoned captures and those that still hang.
package source
