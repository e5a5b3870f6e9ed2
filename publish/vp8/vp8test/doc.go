// Package vp8test decodes VP8 with libvpx, for tests: it shows what a viewer of the encoder's stream sees.
//
// Decoder owns C memory: Close it. It is not safe for concurrent use.
package vp8test
