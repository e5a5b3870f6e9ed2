// Package fit trains the denoiser of a bundle on frames of normal footage and calibrates it.
//
// Run reads the frames once. It keeps a bounded random sample of their features (tokens) and some whole frames for
// calibration, normalises the features, trains with the DDPM loss on ONNX Runtime, measures the scores of the held-back
// frames, and writes a bundle. All random numbers come from one seed. On request, it first whitens the features, and the
// bundle's encoder computes whitened features from then on.
//
// Calibration frames that no training can make usable, such as those with logits that never vary, end the fit before the
// training. If the calibration fails after the training, Run writes a bundle without a calibration, which a fit that only
// calibrates can complete.
//
// At its end a fit checks itself: package synth pastes things into held-back frames while they are read, and the finished
// bundle is measured on their encodings. The AP compares fits on the same footage.
//
// Run writes its state to OUT.fit at least every 30 s. After a crash or a kill, the same command continues from that
// state. A cancelled context ends the training early: Run calibrates the denoiser as it is and writes the bundle.
package fit
