// Package method scores images with the anomaly detectors that an evaluation compares: the paper's own, the rows of its
// comparison, and plain baselines.
//
// [NewRows] makes a [Row] for each method and |T| from a [Kit], which holds what a bundle offers: its detectors, normal
// footage to compare with, mask logits. [Score] encodes each image of a data set once and makes the maps of all rows. The
// package runs no model; package evaluator fills a Kit from a bundle.
//
// A new method is one entry in a list: diffusionMethods, logitMethods, normalMethods or maskMethods.
package method
