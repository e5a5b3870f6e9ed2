// Package report shows the results of an evaluation to people: text tables for a terminal, and one HTML page with tables,
// curves, histograms, and the best, the median and the worst image. The page contains its pictures, loads nothing and runs
// no script.
package report
