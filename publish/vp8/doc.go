// Package vp8 encodes pictures to VP8 with libvpx, tuned for a live preview: one pass, no look-ahead, constant
// bitrate, error resilient. It and its test package are the only ones that link libvpx.
//
// Pictures are planar 8-bit I420 (BT.601, limited range): a Y plane of Width×Height bytes, then U and V of
// ⌈Width/2⌉×⌈Height/2⌉ bytes each, rows packed without padding. RGBToI420 makes one from the packed RGB that the
// rest of oodcast uses. Presentation times are durations since the start of the stream.
//
// An Encoder owns C memory: Close it. It is not safe for concurrent use. vp8test has the decoder that the tests need.
package vp8
