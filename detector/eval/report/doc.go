// Package report makes one HTML page of an evaluation: tables, curves, histograms, and what the best, the median and the
// worst image look like. The page holds everything itself, pictures included; it loads nothing and runs no script.
package report
