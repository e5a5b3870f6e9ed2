// Package opencv reads and writes pictures and video with OpenCV, through GoCV. It is the only package that links
// OpenCV, and no OpenCV type leaves it: frames are ingest.Frame, pictures are packed RGB bytes.
//
// Reading is a blocking C call that cannot be cancelled, and closing a capture while it reads frees memory under it.
// So one goroutine owns open, read and close of a stream. Three things bound how long a broken stream can hold it:
// FFmpeg's socket timeout (Config.ReadTimeout), OpenCV's own 30 seconds, and a watchdog that abandons a capture after
// Config.OpenTimeout (opening) or twice Config.ReadTimeout (reading). What was abandoned cleans up by itself when its
// C call returns; ingest.Stats counts how many were abandoned and how many still hang.
//
// OpenCV 4.6 does not follow a stream that changes its picture size: it repeats an old picture or garbles the new one.
// What FFmpeg logs gives the change away, and the stream is opened again. Not seen are VP8 streams that become smaller
// (nothing is logged) and files that do (a file with a larger picture in it is an error).
//
// FFmpeg is told about streams through an environment variable, because OpenCV 4.6 offers no other way: TCP, low delay,
// a short probe, the timeout. Streams with equal options open side by side, others one after the other.
package opencv
