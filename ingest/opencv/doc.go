// Package opencv reads and writes pictures and video: cameras, GStreamer's pipelines, pictures and the writing of video
// with OpenCV, through GoCV; streams and video files with package ffmpeg. It is the only package that links OpenCV, and no
// OpenCV type leaves it: frames are ingest.Frame, pictures are packed RGB bytes.
//
// One goroutine owns open, read and close of a source. What FFmpeg waits for ends when the source is to stop, or after
// Config.OpenTimeout (opening) or twice Config.ReadTimeout (reading), if its own socket timeout, Config.ReadTimeout, has
// not come first. A call into OpenCV cannot be cancelled, and closing a capture while it reads frees memory under it: a
// watchdog abandons it after the same times. It cleans up by itself when the call returns; ingest.Stats counts how many
// were abandoned and how many still hang.
package opencv
