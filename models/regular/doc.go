// Package regular reads files that strangers may have made.
//
// What is no regular file is refused: a pipe would wait for a writer for ever, and a device never ends. The size that a file
// has when it is opened bounds what is read of it, whatever other programs do to it meanwhile.
package regular
