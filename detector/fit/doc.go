// Package fit trains the denoiser of a bundle on frames of normal footage and calibrates it.
//
// Run reads the frames once, keeps a bounded random sample of their features (tokens) and a few whole frames for
// calibration, normalises, trains with the DDPM loss on ONNX Runtime, measures the scores of the held-back frames, and
// writes a bundle. Everything is drawn from one seed.
//
// The state is written to OUT.fit at least every 30 s: a run that was killed goes on from there when the same command is
// started again. A cancelled context ends the training early; what has been learnt is calibrated and written.
package fit
