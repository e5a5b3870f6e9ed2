// Package diffusion implements diffusion score matching for out-of-distribution detection (DOoD) in plain Go: noise
// schedule, timesteps, noise, denoiser, score and aggregation. The code favours clarity over speed. Scoring and training
// use its schedule, timesteps and noise; its denoiser and scores are the reference for the tests of the ONNX graphs that
// do the work.
//
// Equation numbers are those of the DOoD paper. Timesteps start at 0: a feature at timestep t has been noised t+1 times,
// so the paper's T = {1..25} is {0..24} here. Higher scores are more anomalous. Wrong slice lengths panic.
package diffusion
