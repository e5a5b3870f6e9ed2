// Package nets builds the networks as ONNX graphs: the segmentation encoders that compute features, and the denoiser that
// scores them.
//
// A network is a configuration plus weights ([checkpoint.Tensors] under the names of the published checkpoints). The
// functions here return complete models with the weights inside as constants, so that ONNX Runtime can pack them once.
// Nothing here runs a model.
//
// The denoiser comes as two models. [ScoringGraph] turns features into one score per timestep; the timesteps are an
// input, so that one session serves any number of them. [TrainingGraph] is one optimiser step on a flat parameter vector.
//
// Another encoder is one file here and one in models/importer. Its graph has the inputs and outputs of [EfficientViT], or,
// if it knows no classes, of [EfficientNetLite].
package nets
