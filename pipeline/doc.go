// Package pipeline moves values between stages that run at different speeds. It knows nothing of video or models.
//
// The contract of a [Queue] and of a [Latest] slot: Put takes ownership of the value, whatever it returns, and what
// they do not hand out they give to their drop function; so a counted value is released exactly once. Whoever makes one
// drains it (Drain) after the last Put.
//
// Everything is bounded: when a queue is full, its [Overflow] policy says who waits or what is lost, and every loss is
// counted (Dropped).
package pipeline
