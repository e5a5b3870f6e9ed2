// Package ort runs ONNX graphs on ONNX Runtime. It is the only package that links it.
//
// The runtime library is loaded once a process, when the first Runtime is opened, and unloaded when the last one
// is closed. Sessions and tensors must be closed before their Runtime.
//
// A Tensor is a Go slice that ONNX Runtime reads and writes in place. The binding below keeps no Go reference to
// it while a graph runs, so every run of this package goes through Session.Run, which does.
//
// A Session may be used by several goroutines at once; a Tensor, an Encoder and a Scorer may not.
package ort
