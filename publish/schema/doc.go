// Package schema is the contract between oodcast and whoever listens to it: the protobuf schema of maps
// (oodcast.proto), the JSON messages, the subjects and the headers. Publisher and subscribers share it, so it imports
// nothing of ours and links no C.
//
// Whatever arrives from the network is checked before it is believed: a decoded map has exactly Width·Height finite
// values, a decoded control request names only known fields.
package schema

//go:generate protoc --go_out=. --go_opt=paths=source_relative oodcast.proto
