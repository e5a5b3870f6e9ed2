// Package foxglove converts the messages of oodcast into messages that Foxglove's panels show, and records them in MCAP files
// for Foxglove. docs/ros2-foxglove.md describes the mapping field by field.
//
// The rows of images and grids run from top to bottom: in Foxglove, as in the optical frame of a ROS camera, y points down.
// Times are capture times; a recording also has the time at which each message was received.
package foxglove

//go:generate protoc --go_out=. --go_opt=paths=source_relative foxglove.proto
