// Package paper sets our figures beside those of the paper: Galesso et al., "Diffusion for Out-of-Distribution Detection
// on Road Scenes and Beyond", ECCV 2024. It knows the paper's figures, finds ours among the rows of an evaluation, and says
// what differs in encoder and data, for figures of another encoder on other pictures compare in order, not in size.
package paper
