package schema

// Headers of the messages on NATS. A new header is named here; package publish sets its value where it sends the message.
const (
	HeaderSchema      = "X-Schema"          // MapSchema; only on maps
	HeaderSeq         = "X-Seq"             // sequence number of the map, decimal
	HeaderCaptureTime = "X-Capture-Time"    // capture time of the frame, RFC 3339 with nanoseconds
	HeaderType        = "Content-Type"      // MapType or JSONType
	HeaderEncoding    = "Content-Encoding"  // zstd if the body is compressed
	HeaderRun         = "Oodcast-Run"       // Origin.Run; on all messages
	HeaderProcess     = "Oodcast-Process"   // Origin.Process; on all messages
	HeaderRequester   = "Oodcast-Requester" // optional, on control requests: the name for the audit
	HeaderTrace       = "traceparent"       // W3C Trace Context, see TraceParent
)

// Values of HeaderSchema and HeaderType.
const (
	MapSchema = "oodcast.v1.AnomalyMap"
	MapType   = "application/x-protobuf; proto=" + MapSchema
	JSONType  = "application/json"
)
