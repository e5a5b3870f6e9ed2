// Package preview shows people what the detector sees: the newest frame with the newest anomaly map over it, as WebRTC
// (WHEP, VP8 or the camera's own H.264), MJPEG and JPEG, together with a page and an HTTP API to watch the scores and to change the settings.
//
// Frames, maps and events are handed to Server, which never waits: each camera keeps its newest frame and map only.
// A camera is rendered and encoded once for all its viewers, only while there are any, and never faster than
// Config.MaxFPS. A slow viewer loses frames, and no other viewer does.
//
// By default only this machine can connect. Any other interface requires a token, unless Config.Insecure is set.
//
// Where things are:
//
//   - page/ is the page, one module per concern; a control is a module there, imported by main.js, and its elements in
//     page.html. page.go serves it.
//   - http.go lists all addresses; the handlers are in api.go, health.go, live.go, pictures.go, evidence.go and whep.go.
//     guard.go and auth.go decide who may call them, guesses.go and connections.go limit how often.
//   - stream.go and encoding.go turn the frames of a camera into pictures; package overlay draws them.
//   - passthrough.go gives viewers the H.264 of a camera that sends it, and decides between that and VP8; relay.go is the track of
//     such a viewer, h264.go compares what the camera sends with what the viewer takes.
//   - sessions.go keeps the WebRTC viewers, offer.go reads what they offer, restart.go what they send later; webrtc.go
//     configures their connections. STUN and TURN servers are a key of
//     WebRTCConfig, the ICEServers of peerConfig, and the configuration of the RTCPeerConnection in page/whep.js.
package preview
