// Package events turns the anomaly maps of a camera into events: regions above the threshold that last.
//
// A Tracker follows the regions of one camera from map to map. It reports when an event starts, how it develops, and why it
// ends; a new reason to end is one more EndReason. Event is the value that travels to outlets; its wire form is in
// publish/schema.
package events
