// Package flow estimates how a picture has moved since the one before, in plain Go and in a few milliseconds.
//
// A [Tracker] takes the pictures of one stream. After each it says for any point where that point was in the picture before
// and how sure that is. The method is dense inverse search (Kroeger, Timofte, Dai and Van Gool, Fast Optical Flow using Dense
// Inverse Search, ECCV 2016) on a small grey picture, without its variational refinement: what is carried along the flow is
// coarser than that.
package flow
