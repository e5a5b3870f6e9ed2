// Package opencv does with OpenCV, through GoCV, what needs OpenCV: it reads cameras and GStreamer pipelines ([Capture]), reads
// and writes pictures ([Picture], [ReadImage], [WriteImage]), scales them ([Scale]), cuts things out of them ([CutOut]) and writes
// video ([VideoWriter]). Network
// streams and video files are read by package ffmpeg; package source chooses between the two.
//
// It is the only package that links OpenCV, and no OpenCV type leaves it: frames are ingest.Frame, pixels are packed RGB
// bytes.
//
// A call into OpenCV cannot be cancelled, and closing a capture while another goroutine reads from it frees memory that the
// read uses. One goroutine therefore owns a Capture from Open to Close, and callers must bear a call that hangs.
package opencv
