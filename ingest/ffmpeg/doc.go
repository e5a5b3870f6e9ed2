// Package ffmpeg demuxes and decodes video with FFmpeg's libraries: files, RTSP, HTTP and whatever else libavformat opens.
//
// OpenCV reads through the same libraries, but decodes successive pictures in parallel, which hands every picture of a
// stream out one interval late; does not follow pictures that change their size; takes its options from an environment
// variable; and cannot be interrupted. Here a stream's pictures are decoded one at a time, in slices where the encoder made
// slices, sizes may change, options belong to the reader, and Interrupt ends a call that waits for the network.
//
// libavformat itself finds the end of an H.264 or H.265 picture that comes over RTSP by the beginning of the next one: there,
// a picture is still one interval late. GStreamer's depayloaders go by RTP's marker and are not.
//
// Colours are converted as the stream describes them (BT.601 where it does not), pictures of phones turned upright.
package ffmpeg
