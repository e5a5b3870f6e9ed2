// Package ingesttest makes streams for tests: an RTSP and an MJPEG server that run in the test's own process and fail on
// request, a clock in the pixels that measures delay, and clips with real objects pasted in at known places and times. Only
// tests and the command labelstream, which writes such clips, import it.
package ingesttest
