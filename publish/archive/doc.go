// Package archive keeps evidence of events: the frame, the map and the overlay at the start and at the peak, and a film
// from shortly before to shortly after, in a directory, in a JetStream object store, or in both.
//
// The pipeline never waits for a disk or a network: [Archive.Frame] and [Archive.Observe] copy what they need and return.
// Every queue is bounded in number and bytes; evidence that does not fit is dropped and counted.
//
// Files are written to the directory. An uploader copies them to the object store and tries again until it has them.
//
// An event's files are in {dir}/{site}/{camera}/{date}/{event id}/, each complete or absent. Retention removes the oldest
// events by age and bytes. It touches only files with the names in [Files], in folders of that layout whose event.json is
// ours; everything else in the directory stays.
package archive
