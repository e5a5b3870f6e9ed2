// Package schema is the contract between oodcast and its subscribers: the protobuf schema of maps (oodcast.proto), the JSON
// messages, the subjects and the headers. Publisher and subscribers share it, so it imports no other package of oodcast and
// links no C.
//
// It validates everything that arrives from the network: a decoded map has exactly Width·Height finite values, and a decoded
// control request has only known fields.
package schema

//go:generate protoc --go_out=. --go_opt=paths=source_relative oodcast.proto
