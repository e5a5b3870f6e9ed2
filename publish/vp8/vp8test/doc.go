// Package vp8test turns VP8 back into pictures, so that tests can look at what a viewer gets. It links libvpx, like
// package vp8.
package vp8test
