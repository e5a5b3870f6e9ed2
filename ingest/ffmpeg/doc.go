// Package ffmpeg demuxes and decodes video with FFmpeg's libraries: files, RTSP, HTTP and everything else that libavformat
// opens. Pictures come out upright and as packed RGB.
//
// OpenCV reads through the same libraries, but it decodes successive pictures in parallel, which delivers every picture of a
// stream one interval late; it does not follow pictures that change their size; it takes its options from an environment
// variable; and it cannot be interrupted. This package decodes the pictures of a stream one at a time, in parallel slices
// where the encoder made slices. Sizes may change, options belong to the reader, and a context ends a call that waits for
// the network.
//
// One delay remains: over RTSP, libavformat finds the end of an H.264 or H.265 picture by the beginning of the next one, so
// these pictures are still one interval late. GStreamer's depayloaders go by RTP's marker and avoid the delay.
//
// A [Writer] writes an MP4 film whose pictures keep their own times, whole or not at all. OpenCV's writer takes one rate for
// the whole film and does not report that the disk is full.
//
// Colours are converted as the stream describes them, and as BT.601 where it does not.
package ffmpeg
