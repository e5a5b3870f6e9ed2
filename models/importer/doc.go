// Package importer makes encoder-only bundles from the weights of segmentation networks.
//
// An import reads the weights, derives the network's configuration from them, builds the encoder graph, runs it once for
// the golden outputs, and writes the bundle: encoder.onnx, golden.json, MODEL_CARD.md and bundle.yaml. `oodcast fit`, or
// package detector/fit, then completes the bundle with a denoiser and a calibration.
//
// There is one function per kind of network: [EfficientViT] and [ONNX]. Another network, a SegFormer encoder for
// instance, is one file in models/nets that builds its graph from named weights, and one file here that reads its
// configuration from the weights, calls that function, and fills in a network value for [Options.write]. The command
// `oodcast models import` then needs one struct for the new function's flags.
//
// This package runs no network itself: a [Runner] does, and detector/ort has one. Faults of what the caller brought are
// an [InputError]; other errors are those of files and of the runtime.
package importer
