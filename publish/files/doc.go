// Package files writes the anomaly maps of pictures and videos as files: NumPy arrays for programs, pictures and overlay
// videos for people, JSON for both. `oodcast score` is this package behind flags.
//
// The files of an input lie in Writer.Dir and begin with Stem of its path. Each file is written whole or not at
// all; of a video that cannot be read to its end there is none. The frames of an overlay film keep their times. When the
// frames of a video change their size, array and overlay keep that of the first frame, and JSON has each frame's own.
package files
