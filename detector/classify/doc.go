// Package classify gives a bundle classes: it trains a linear classifier of the features of its encoder on labelled frames, and
// makes the classifier a part of the encoder.
//
// Run encodes the frames once and keeps a bounded random sample of cells, each with the shares that the classes have of it. It
// trains with the cross-entropy on ONNX Runtime, as package fit trains the denoiser, measures the mean IoU on frames that took
// no part, and writes a bundle whose encoder has logits and lse: with them come the names of classes, the uncertainty in the
// compound score, and the methods that need either. All random numbers come from one seed.
package classify
