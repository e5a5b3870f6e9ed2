// Package sets compares methods, and settings of a bundle, over several data sets.
//
// A [Table] holds every method on every set with means and the spread over the images. [Choose] is the honest way to choose
// settings: for each set, those are taken that are best on all others, so that no figure is read on a set that helped to
// choose. [Grid] parses the settings to choose from, and a [Block] keeps the tables of a document up to date. The
// package runs no model: package evaluator does.
package sets
