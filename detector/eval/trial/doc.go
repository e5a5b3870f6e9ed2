// Package trial tells by example which features of a network suit a camera: it pastes things into some frames of normal
// footage, fits one Gaussian to the features of the others, and measures how well the Mahalanobis distance finds the things.
//
// The figures compare features on the same frames. They promise nothing about real anomalies, which are more varied.
package trial
