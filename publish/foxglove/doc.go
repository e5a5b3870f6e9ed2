// Package foxglove turns what oodcast publishes into the messages that Foxglove's panels show, and records them in MCAP
// files that Foxglove opens. docs/ros2-foxglove.md has the mapping field by field.
//
// Images and grids keep the rows from the top: in Foxglove, as in the optical frame of a ROS camera, y points down.
// Times are those of capture; a recording also knows when each message was received.
package foxglove

//go:generate protoc --go_out=. --go_opt=paths=source_relative foxglove.proto
