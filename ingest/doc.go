// Package ingest defines video frames and where they come from, in pure Go. Package ingest/source reads them.
//
// The contract of a [Frame]: whoever receives a frame owns one reference and must pass it on or Release it, exactly once;
// Retain takes a further reference for a further use. Pixels are read-only once the frame has left its [Source]. They are
// packed RGB, 8 bits per channel, row by row from the top, 3*Width*Height bytes.
//
// A [Pool] has a fixed number of frames and thereby bounds the memory of everything that comes after it. Lossless readers
// wait for a free frame (Get); live readers drop the picture and count it (TryGet).
//
// A [Source] reads one stream once and never retries. A [Supervisor] retries, with exponential back-off and jitter.
//
// Credentials in a stream's address never reach an error, a log or a message: see [RedactURI].
package ingest
