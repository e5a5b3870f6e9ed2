// Package publish puts what the detector finds on NATS: maps as protobuf, scores, events, states and statistics as
// JSON, and a control service that answers requests with the settings in force. Subjects, headers and messages are in
// publish/schema.
//
// The detector never waits for NATS. Publisher.Map and Publisher.Event hand over and return at once: maps that cannot
// be sent now are dropped and counted (the newest wins), events are kept in a bounded spool on disk and sent, in order,
// when NATS is back. Whatever is handed over must not be changed afterwards.
//
// Events go to a JetStream stream, deduplicated by id and revision. Presence is an entry in a key-value bucket that
// expires when nobody refreshes it: NATS has no last will.
//
// The server is somebody else's (Config.URL "nats://…") or embedded in this process ("embedded").
package publish
