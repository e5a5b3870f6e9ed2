// Package eval measures how well anomaly maps find what does not belong: pooled pixel metrics over labelled data sets.
//
// A data set is a list of images with label masks; a [Pool] collects the scores of all valid pixels of all images and
// gives average precision, AUROC and FPR95 exactly, as scikit-learn does, without holding more than four bytes a
// pixel. Higher scores mean more anomalous. Labels are 0 in-distribution, the data set's out-of-distribution value
// (1 in most), and 255 for pixels that do not count.
package eval
