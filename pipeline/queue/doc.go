// Package queue moves values between stages that run at different speeds. It knows nothing of video or models.
//
// The contract of a [Queue]: Put takes ownership of the value, whatever it returns, and what it does not hand out it gives
// to its drop function; so a counted value is released exactly once. Whoever makes one drains it (Drain) after the last
// Put. A queue of one value that drops the oldest is a slot for the newest.
//
// Everything is bounded: when a queue is full, its [Overflow] policy says who waits or what is lost, and every loss is
// counted (Dropped).
package queue
