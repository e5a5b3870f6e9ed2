// Package eval computes the metrics of anomaly maps against labelled images.
//
// A [Pool] collects the scores of the valid pixels of all images and gives average precision, AUROC and FPR95 exactly, as
// scikit-learn does, from no more than four bytes per pixel. Higher scores are more anomalous. [Measure] fills the row of a
// table from one pass over the maps of a [dataset.Dataset], and from a second pass the metrics of connected components.
//
// [Pool.Spread] tells how far the metrics depend on which images a set happens to have; package sets compares several sets.
//
// A new metric of pixels goes into [Metrics], a new metric of components into [Components], and its JSON key into [Result].
// Package stream holds the metrics of streams. This package runs no model: package method makes maps, package evaluator
// runs a bundle.
package eval
