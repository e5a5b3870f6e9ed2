// Package clips measures anomaly maps on the labelled clips of fixed cameras as the field does: AUROC of frames and of pixels,
// equal error rate, region- and track-based detection, and the events that the service would send.
//
// [Evaluate] plays every clip of a [dataset.Clips] once and returns a [Result] for every row.
package clips
