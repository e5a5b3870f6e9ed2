// Package importer makes encoder-only bundles from the weights of segmentation networks.
//
// An import reads the weights, derives the network's configuration from them, builds the encoder graph, runs it once for
// the golden outputs, and writes the bundle: encoder.onnx, golden.json, MODEL_CARD.md and bundle.yaml. `oodcast fit`, or
// package detector/fit, then completes the bundle with a denoiser and a calibration.
//
// There is one function per kind of network, such as [SegFormer], [Mask2Former] and [ONNX]. [Candidates] finds the tensors of an
// ONNX file that may be features, for whoever wants to compare them. Another network is
// one file in models/nets that builds its graph from named weights, and one file here that derives its configuration from
// the weights, calls that function, and passes a network value to Options.write. The command `oodcast models import` then
// needs one struct with the flags of the new function.
//
// [Strip] takes published weights out of a bundle, so that the rest can be published where they may not be, and [Assemble]
// puts them back.
//
// This package runs no network itself. A [Runner] does, and detector/ort has one. Faults in the caller's input are an
// [InputError]; other errors come from files and from the runtime.
package importer
