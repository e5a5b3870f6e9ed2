// Package scene watches the picture of a fixed camera itself: whether somebody covers, moves or defocuses the lens, and
// where something has been left or taken away. It needs no network and no bundle, learns the place from the first seconds,
// and finds nothing on a camera that travels.
//
// The picture is compared on a coarse grid of cells. How sharp it is comes from the pixels.
package scene
