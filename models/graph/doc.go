// Package graph writes and reads ONNX models as Go values.
//
// A [Graph] is built by calling its methods: [Graph.Input] and [Graph.Const] bring tensors in, operators such as
// [Graph.Linear] connect them, [Graph.Output] names results, [Graph.Marshal] writes the model (opset 17, initialisers
// as raw little-endian bytes). Any operator that has no method of its own is reached through [Graph.Node].
//
// The first mistake made while building (shapes that do not fit, a name used twice) is kept: every later call returns
// an empty tensor, and [Graph.Marshal] and [Graph.Err] report it. So a network is written without an error check a
// line.
//
// Dimensions are in ONNX order, row-major; -1 is a dimension that only the caller of the model knows. Tensors of rank 0
// are not made: a scalar is a tensor of shape [1].
//
// The same calls in the same order give the same bytes: names are numbered in order of creation.
//
// The differentiable operators record how to go backwards; [Graph.Backward] appends the gradient operators to the same
// graph and [Graph.AdamW] the update, so that a training step is a model like any other.
//
// A [Model] is a parsed ONNX file. What the reader does not know it keeps byte for byte; [Model.Tap] makes an inner
// tensor an output and [Merge] feeds the outputs of one model to the inputs of another.
package graph
