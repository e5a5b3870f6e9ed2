// Package detector turns frames into anomaly maps.
//
// A frame is encoded by a frozen segmentation network (Encoder), its features are scored by a denoiser at a few
// diffusion timesteps (Scorer), and the result is compounded with the segmenter's own uncertainty into one Map. Higher
// is more anomalous; values are standardised on the calibration footage, so that 0 is the middle of normal, whatever
// number of timesteps |T| is in use.
//
// A Detector works on one frame at a time. Its Control may be turned from any goroutine; a change takes effect with the
// next frame. Whoever receives a Map owns it; nobody writes to it again.
package detector
