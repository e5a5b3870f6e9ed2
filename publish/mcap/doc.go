// Package mcap writes MCAP files: recordings of timestamped messages that Foxglove, rosbag2 and PlotJuggler read. The format is
// described at https://mcap.dev/spec. The package does not know the meaning of the messages.
//
// Messages are collected in chunks, which are compressed and indexed. A chunk that was written is safe: a recording that ends
// without Close lacks its index, but readers can recover its messages.
package mcap
