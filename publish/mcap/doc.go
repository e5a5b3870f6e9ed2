// Package mcap writes MCAP files: recordings of timestamped messages that Foxglove, rosbag2 and PlotJuggler read. The
// format is described at https://mcap.dev/spec. It knows nothing about what the messages mean.
//
// Messages are gathered in chunks, which are compressed and indexed. A chunk that was written is safe: a recording that
// ends without Close lacks its index, but readers find what is in it.
package mcap
