// Package ort runs ONNX graphs on ONNX Runtime. It is the only package that links it.
//
// A process loads the runtime library once, when it opens the first Runtime, and unloads it when it closes the last one.
// Sessions and tensors must be closed before their Runtime.
//
// A Tensor is a Go slice that ONNX Runtime reads and writes in place. The binding keeps no Go reference to it while a
// graph runs, but Session.Run does. Therefore everything in this package runs graphs through Session.Run.
//
// Several goroutines may use a Session at once, but not a Tensor, an Encoder or a Scorer.
package ort
