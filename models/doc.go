// Package models opens, checks and writes bundles: everything that oodcast needs to know to score a frame.
//
// A bundle is a folder:
//
//	bundle.yaml           the Manifest: what is inside, how it was made, sha256 of every other file
//	encoder.onnx          the segmentation network: image in; features, logits and their log-sum-exp out
//	denoiser.safetensors  the diffusion model's weights, under the names of the paper's checkpoints
//	calibration.json      statistics of normal footage
//	golden.json           a small input, by formula, and what must come out
//	MODEL_CARD.md         data, licences, honest metrics
//
// A bundle without denoiser and calibration is legal: "encoder only", as `oodcast models import` makes it and
// `oodcast fit` completes it. Bundles in models/bundles are embedded in the program and opened by name.
//
// Open checks the manifest and every checksum before it returns. A Bundle is immutable and safe for concurrent use.
package models
