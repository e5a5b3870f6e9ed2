// Package configs defines the configuration file: one YAML file that holds every package's Config.
//
// [Default] is the authoritative source of the defaults. default.yaml lists the same defaults with comments, and a test
// keeps the two in agreement. An unknown key is an error. All faults are reported at once, each with its path, the value
// found and the value wanted.
package configs
