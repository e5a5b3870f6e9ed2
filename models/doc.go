// Package models opens, checks and writes bundles: everything that oodcast needs to know to score a frame.
//
// A bundle is a folder:
//
//	bundle.yaml           the Manifest: what is inside, how it was made, sha256 of every other file
//	encoder.onnx          the network: image in; features, logits and their log-sum-exp out, or features alone
//	denoiser.safetensors  the diffusion model's weights, under the names of the paper's checkpoints
//	calibration.json      statistics of normal footage
//	golden.json           a small picture, given by a formula, and the outputs that the encoder must compute for it
//	MODEL_CARD.md         data, licences, honest metrics
//
// A bundle without a denoiser and a calibration is valid and called "encoder only": package importer, or `oodcast models
// import`, makes it, and package detector/fit, or `oodcast fit`, completes it. A bundle with a denoiser but without a
// calibration is what a fit leaves that failed to calibrate: its manifest says why, and `oodcast fit --calibrate-only`
// completes it.
//
// Bundles are opened by name or by path. Names are looked up in Folders and among the bundles embedded in the program; List
// returns all that are found. A [Part] is a bundle whose encoder lacks the weights that others have published, so that this
// repository can hold it: make deps, or package importer, completes it.
//
// Open checks the manifest and every checksum before it returns. A Bundle is immutable and safe for concurrent use.
//
// This package holds data and names only, such as [DenoiserConfig], so that programs which describe bundles need not
// build graphs: package nets does that, with package graph, and package checkpoint reads the weights.
package models
