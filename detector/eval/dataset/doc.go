// Package dataset lists the labelled images of the anomaly segmentation data sets and reads their masks and score files.
//
// [Open] accepts a set in its official layout and in the flat one. Labels are 0 for in-distribution pixels, the data set's
// out-of-distribution value (1 in most) for anomalous ones, and [Ignore] for pixels that do not count. A [Dataset] holds
// paths only; masks are read when an image is visited.
package dataset
