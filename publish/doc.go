// Package publish sends what the detector finds to NATS: maps as protobuf, and scores, events, states and statistics as
// JSON. It also runs a control service that answers requests with the settings in force.
//
// A Publisher is an outlet: it has the methods of pipeline.Outlet, so the pipeline hands it frames, maps, events and states
// without knowing NATS. Neither this package nor any package below it imports pipeline; the bounded queue in pipeline/queue
// is the only exception. Package main puts the outlets into one list.
//
// The detector never waits for NATS. Publisher.Map and Publisher.Event hand over their value and return. A map that cannot be
// sent now is dropped and counted, and the newest maps win. Events are kept in a bounded spool on disk and are sent in order
// when NATS is back. The caller must not change a value after handing it over.
//
// Events go to a JetStream stream, which drops duplicates by id and revision. Presence is an entry in a key-value bucket that
// expires unless it is refreshed, because NATS has no last will.
//
// The server is external (Config.URL "nats://…") or embedded in this process ("embedded").
//
// Where to change what:
//
//   - A header gets its name in publish/schema/header.go, and its value where the message is published: send.go for all JSON,
//     otherwise maps.go, events.go or control.go.
//   - A field of a message is declared in publish/schema and filled in by publish/message, which turns maps and events into
//     messages for NATS, the page, the archive and publish/jsonl.
//   - A further outlet, such as MQTT, is a folder below publish with the methods of pipeline.Outlet, and one line where
//     cmd/oodcast lists its outlets. The smallest example is publish/jsonl. Histograms that outlets share are in
//     publish/latency, and the log of recurring faults is in publish/faultlog.
package publish
