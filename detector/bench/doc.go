// Package bench measures how long a bundle takes to score frames on this machine, for each number of timesteps |T|.
//
// The frames are the golden picture at the working size, scored alone or in batches on one engine, one batch after the
// other. Latencies are those that the detector reports: encoding and scoring, without reading or publishing.
package bench
