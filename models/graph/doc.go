// Package graph writes and reads ONNX models as Go values.
//
// A [Graph] is built by calling its methods: [Graph.Input] and [Graph.Const] bring tensors in, operators such as
// [Graph.Linear] connect them, [Graph.Output] names results, and [Graph.Marshal] writes the model (opset 17,
// initialisers as raw little-endian bytes). [Graph.Node] adds any operator that has no method of its own.
//
// The graph keeps the first mistake made while building (shapes that do not fit, a name used twice): every later call
// returns an empty tensor, and [Graph.Marshal] and [Graph.Err] report the mistake. Code that builds a network therefore
// needs no error check on every line.
//
// Dimensions are in ONNX order, row-major; -1 is a dimension that only the caller of the model knows. There are no
// tensors of rank 0: a scalar is a tensor of shape [1].
//
// The same calls in the same order give the same bytes: names are numbered in order of creation. With [Beside], large constants
// leave the memory as soon as they are added.
//
// The differentiable operators record their gradients. [Graph.Backward] appends the gradient operators to the same
// graph and [Graph.AdamW] the update, so that a training step is a model like any other.
//
// A [Model] is a parsed ONNX file; [Parse] is the only ONNX reader of this program. It keeps the fields that it does not
// know byte for byte. [Model.Tap] makes an inner tensor an output, and [Merge] feeds the outputs of one model to the
// inputs of another. [Inline] takes in the weights that a model keeps in other files, and [External] lists those files.
// [Model.Halve] stores weights in half precision. [TakeOut] takes out of a model the weights that other models have too, and
// [PutBack] puts them back.
package graph
