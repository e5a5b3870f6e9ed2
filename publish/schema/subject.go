package schema

import "fmt"

// Kinds of messages: the tokens after the camera in a subject.
const (
	KindMap      = "map"
	KindScore    = "score"
	KindEvent    = "event" // followed by start, update or end
	KindSnapshot = "snapshot"
	KindStatus   = "status"
	KindStats    = "stats"
	KindAudit    = "audit"
	KindControl  = "ctl" // followed by get, set, snapshot, pause or resume
)

// Streams of the default prefix.
const (
	DefaultPrefix = "oodcast"
	eventStream   = "EVENTS"
	mapStream     = "MAPS"
)

// CheckName returns an error unless name can be a prefix, site or camera: a NATS token that is also a legal ROS name.
func CheckName(name string) error {
	ok := len(name) >= 1 && len(name) <= 63
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z'
		ok = ok && (letter || i > 0 && (c == '_' || c >= '0' && c <= '9'))
	}
	if !ok {
		return fmt.Errorf("name %q: want a lower-case letter, then lower-case letters, digits or _ (63 at most)", name)
	}
	return nil
}

// Subjects builds the subjects of one site: {prefix}.v1.{site}.{camera}.{kind}.
type Subjects struct{ Prefix, Site string }

// Of returns the subject of a camera's messages of one kind. The camera "*" matches all cameras.
func (s Subjects) Of(camera, kind string) string {
	return s.Prefix + ".v1." + s.Site + "." + camera + "." + kind
}

// Event returns the subject of a camera's events of one type: start, update or end.
func (s Subjects) Event(camera, eventType string) string {
	return s.Of(camera, KindEvent+"."+eventType)
}

// Control returns the subject of a control verb: get, set, snapshot, pause or resume.
func (s Subjects) Control(camera, verb string) string {
	return s.Of(camera, KindControl+"."+verb)
}

// StatusBucket returns the name of the key-value bucket with the status of every camera that is present.
func (s Subjects) StatusBucket() string { return s.Prefix + "_status" }

// StatusKey returns a camera's key in the StatusBucket.
func (s Subjects) StatusKey(camera string) string { return s.Site + "." + camera }

// EventStream returns the name of the JetStream stream with the events: EVENTS with the default prefix, EVENTS_{prefix} with
// another one, so that two prefixes can share a server.
func (s Subjects) EventStream() string { return s.stream(eventStream) }

// MapStream returns the name of the stream with the last maps, MAPS or MAPS_{prefix}. It exists with publish.map_stream.
func (s Subjects) MapStream() string { return s.stream(mapStream) }

func (s Subjects) stream(name string) string {
	if s.Prefix == DefaultPrefix {
		return name
	}
	return name + "_" + s.Prefix
}
