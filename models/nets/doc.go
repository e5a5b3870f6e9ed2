// Package nets holds the networks as ONNX graphs: the denoiser that scores features and the segmentation encoders that
// make them.
//
// A network is a configuration plus weights ([checkpoint.Tensors] under the names of the published checkpoints); the
// functions here return finished models with the weights inside as constants, so that ONNX Runtime can pack them once.
// Nothing here runs a model.
//
// The denoiser comes as two models. [ScoringGraph] turns features into one score a timestep; its timesteps are an
// input, so one session serves any number of them. [TrainingGraph] is one optimiser step on a flat parameter vector.
package nets
