// Package checkpoint reads and encodes network weights. It never runs code from a file.
//
// A checkpoint is a set of named dense tensors. Whatever the element type of the file (float32, float64, float16,
// bfloat16, integers, bool), the values arrive as float32, row-major, in one slice per tensor. Integers above 2^24 lose
// their last digits; only counters such as BatchNorm's num_batches_tracked become that large.
//
// The package reads PyTorch's files, which are a zip archive with a pickle inside or, before PyTorch 1.6, a row of pickles
// (OpenTorch), and safetensors (ReadSafetensors). It encodes safetensors. Files are untrusted: sizes are checked against
// the bytes that are really there before memory is allocated, nothing that a pickle names is executed (objects other than
// tensors, storages and dictionaries stand for nothing), and every error names the file and the reason. Nothing here
// panics on bad input.
package checkpoint
