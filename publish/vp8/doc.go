// Package vp8 encodes pictures to VP8 with libvpx, tuned for a live preview: one pass, no look-ahead, constant
// bitrate, error resilient. Apart from its test helper vp8test it is the only package that links libvpx.
//
// Pictures are planar 8-bit I420 (BT.601, limited range): a Y plane of Width×Height bytes, then U and V of
// ⌈Width/2⌉×⌈Height/2⌉ bytes each, with rows packed without padding. RGBToI420 makes one from the packed RGB that the
// rest of oodcast uses. Presentation times are durations since the start of the stream.
//
// Encoder owns C memory: Close it. It is not safe for concurrent use.
package vp8
