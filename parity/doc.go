// Package parity compares networks as oodcast runs them with the programs of those who invented them.
//
// `make parity` runs every oracle of this folder, a Python file such as segformer.py, and then TestParity, which prints one
// table. An oracle is called with an output folder and makes a folder there for each network (oracle.py helps):
//
//	the files that a user would have: weights under their published names, config.json, an ONNX file, …
//	case.json             {"network": …, "oracle": "transformers 5.24.0", "weights": "random" or where they are from,
//	                      "import": the words after `oodcast models import`, which runs in this folder}
//	expected.safetensors  what the oracle computes with these files, in double precision where it can
//
// The tensors of expected.safetensors are named PICTURE/OUTPUT. PICTURE is WxH, the size of the picture that
// [models.GoldenImage] draws, or WxH:wxh if it is scaled to another working size w×h (bilinearly, pixel centres at ½,
// without rounding). OUTPUT is one of
//
//	features              with the import's own taps, [h,w,C]
//	features LIST         with --features LIST, [h,w,C]
//	logits, lse, …        any other output of encoder.onnx, without the dimension of the batch
//	map                   scores combined with logits as the inventors of the method do it, see below
//
// Tensors named denoiser/NAME compare the denoiser of the bundle: features [n,C], noise [T,n,C] and timesteps [T] are given,
// cosine and mse [T,n] (scores e_t) and epsilon [T,n,C] (the predicted noise) are expected. With map, the tensor
// PICTURE/noise [T,n,C] is given, and PICTURE/moments holds the mean and the deviation of the sums of scores and of the
// uncertainty 1 - lse.
//
// An oracle that is called with a second folder, models/nets/testdata, also writes slices of small networks there, which
// `make test` checks without Python.
//
// The bar is a difference of 1e-4 of the largest value of a tensor. A row of the table is the worst of its tensors.
package parity
