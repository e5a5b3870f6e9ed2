// Package archive keeps evidence of events: the frame, the map and the overlay at the start and at the peak, and a film
// from shortly before to shortly after, in a directory, in a JetStream object store, or in both.
//
// Nothing here ever waits for a disk or a network on behalf of the pipeline: [Archive.Frame] and [Archive.Observe] copy
// what they need and return, every queue is bounded in number and bytes, and what does not fit is dropped and counted.
//
// Files are written to the directory; an uploader brings them to the object store, and tries again until they are there.
//
// An event's files lie in {dir}/{site}/{camera}/{date}/{event id}/, and each is complete or not there. Retention removes
// the oldest events by age and bytes. It touches only files of the names in [Files], in folders of that layout whose
// event.json is ours: whatever else lies in the directory stays.
package archive
