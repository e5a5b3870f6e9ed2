// Package principal finds the principal components of features: the directions in which they vary, the strongest first.
package principal
