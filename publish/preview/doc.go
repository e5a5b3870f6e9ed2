// Package preview shows people what the detector sees: the newest frame with the newest anomaly map blended in, as
// WebRTC (WHEP, VP8), MJPEG and JPEG, together with a page and an HTTP API to watch the scores and turn the knobs.
//
// Frames, maps and events are handed to Server, which never waits: each camera keeps its newest frame and map only.
// A camera is rendered and encoded once for all its viewers, only while somebody watches, and never faster than
// Config.MaxFPS; a viewer that is slow loses frames, and nobody else does.
//
// By default only this machine can connect. Anybody else needs a token, unless Config.Insecure says otherwise.
package preview
