// Package vp8 encodes pictures to VP8 with libvpx, tuned for a live preview: one pass, no look-ahead, constant
// bitrate, error resilient. It is the only package that links libvpx.
//
// Pictures are planar 8-bit I420 (BT.601, limited range): a Y plane of Width×Height bytes, then U and V of
// ⌈Width/2⌉×⌈Height/2⌉ bytes each, rows packed without padding. RGBToI420 makes one from the packed RGB that the
// rest of oodcast uses. Presentation times are durations since the start of the stream.
//
// Encoder and Decoder own C memory: Close them. Neither is safe for concurrent use.
package vp8
