// Package paper prints the tables of the paper with our figures next to the published ones: Galesso et al., "Diffusion for
// Out-of-Distribution Detection on Road Scenes and Beyond", ECCV 2024. It knows the paper's figures, finds ours among the
// rows of an evaluation, and lists the differences in encoder and data: figures of another encoder on other pictures compare
// in order, not in size.
package paper
