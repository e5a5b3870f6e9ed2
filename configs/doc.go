// Package configs is what an operator writes: one YAML file that holds every package's Config.
//
// [Default] is the whole truth about defaults; default.yaml is the same, written out with comments, and a test holds the
// two together. A key that nobody knows is an error, and all faults are reported at once, each with its path, the value
// found and what is wanted.
package configs
