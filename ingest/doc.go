// Package ingest holds what a video frame is and where frames come from, in pure Go. Package ingest/opencv implements
// the sources.
//
// The contract of a [Frame]: whoever receives one owns one reference and must pass it on or Release it, exactly once.
// Whoever needs a frame twice takes another reference with Retain first. Pixels are read-only once they have left the
// [Source]. Pixels are packed RGB, 8 bits a channel, row by row from the top, 3*Width*Height bytes.
//
// A [Pool] has a fixed number of frames: it is the memory bound of everything that comes after it. Lossless readers
// wait for a free frame (Get), live readers drop and count (TryGet).
//
// A [Source] reads one stream once; it never retries. A [Supervisor] retries, with exponential back-off and jitter.
//
// Credentials in a stream address never reach an error, a log or a message: see [RedactURI].
package ingest
