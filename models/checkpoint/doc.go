// Package checkpoint reads and writes network weights without running anything that is in the file.
//
// A checkpoint is a set of named dense tensors. Whatever element type the file has (float32, float64, float16,
// bfloat16, integers, bool), the values arrive as float32, row-major, in one slice a tensor; integers above 2^24 lose
// their last digits, which only counters such as BatchNorm's num_batches_tracked ever reach.
//
// Two formats are read: PyTorch's zip archive with a pickle inside (OpenTorch) and safetensors (ReadSafetensors);
// safetensors is written. Files are foreign bytes: sizes are checked against the bytes that are really there before
// memory is taken, the pickle may name tensors, storages and OrderedDict and nothing else, and every error names the
// file and the reason. Nothing here panics on bad input.
package checkpoint
