// Package files writes the anomaly maps of pictures and videos as files: NumPy arrays for programs, pictures and overlay
// videos for people, JSON for both. `oodcast score` is this package behind flags.
//
// The files of an input lie in Writer.Dir and begin with Stem of its path. Arrays, pictures and JSON are each written
// whole or not at all.
package files
