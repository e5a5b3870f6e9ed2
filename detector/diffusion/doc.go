// Package diffusion is the arithmetic of diffusion score matching for out-of-distribution detection (DOoD) in plain Go:
// noise schedule, timesteps, noise, denoiser, score and aggregation. It is written to be read and to be right; the
// ONNX graphs that do the work are tested against it.
//
// Equation numbers are those of the DOoD paper. Timesteps count from 0: step t has been noised t+1 times, so the
// paper's T = {1..25} is {0..24} here. Higher scores are more anomalous. Wrong slice lengths panic.
package diffusion
