// Package fit trains the denoiser of a bundle on frames of normal footage and calibrates it.
//
// Run reads the frames once. It keeps a bounded random sample of their features (tokens) and some whole frames for
// calibration, normalises the features, trains with the DDPM loss on ONNX Runtime, measures the scores of the held-back
// frames, and writes a bundle. All random numbers come from one seed.
//
// Run writes its state to OUT.fit at least every 30 s. After a crash or a kill, the same command continues from that
// state. A cancelled context ends the training early: Run calibrates the denoiser as it is and writes the bundle.
package fit
