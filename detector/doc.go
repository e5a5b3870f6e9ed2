// Package detector turns frames into anomaly maps.
//
// A frame is encoded by a frozen segmentation network (Encoder), its features are scored by a denoiser at a few
// diffusion timesteps (Scorer), and the result is compounded with the segmenter's own uncertainty into one Map. Higher
// values are more anomalous. Values are standardised on the calibration footage: 0 is the middle of normal for every number
// of timesteps |T|.
//
// A Detector works on one frame at a time. Its Control may be changed from any goroutine; a change takes effect with the
// next frame. The detector never writes to a Map after returning it; receivers treat it as read-only.
package detector
