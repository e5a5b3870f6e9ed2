// Package stream evaluates anomaly maps on a labelled video: accuracy when scoring takes time, steadiness from frame to
// frame, and the events that the service would send.
//
// [Evaluate] plays a source once against its [Truth] and returns a [Result] for every row. The clock is simulated, so with
// a fixed latency two runs agree, and one machine predicts the results of another.
package stream
