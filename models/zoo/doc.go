// Package zoo makes networks of known architectures with random weights, by name, so that their cost can be measured where their
// files are not. The weights have the names and shapes of published files and go the way of an import.
package zoo
