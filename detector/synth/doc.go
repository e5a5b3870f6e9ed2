// Package synth makes labelled pictures out of normal footage: it pastes things into frames that do not belong there.
//
// A [Generator] pastes into one picture at a time: objects cut out of photographs ([Objects]) or drawn by formula, patches of
// texture, and regions of the frame that are blurred, noisy or enlarged. Their sizes spread evenly over a logarithmic scale
// and their edges are blended. Labels are 0 for the frame, 1 for what was pasted and 255 for blended edges, as in the
// benchmarks. Everything follows from the seed, the number of the picture and the frame. [Write] makes a data set that
// package dataset reads, one frame in memory at a time.
//
// Such sets serve to choose settings without looking at the sets on which results are reported, and to tell how well a fit
// works on its own camera. Real anomalies are more varied than pasted ones: an AP on them compares settings and fits on the
// same footage and promises nothing about what a camera will see.
package synth
