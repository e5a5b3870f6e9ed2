package schema

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// TraceParent returns the header "traceparent" (W3C Trace Context) of all messages about the frame that a camera captured at
// the given time. It depends only on its arguments, so it can be computed for any map, event or file with a capture time to
// find the messages of the same frame, and the spans of subscribers become children of the frame. oodcast records no spans
// itself: the flags are "not sampled".
func TraceParent(site, camera string, captured time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%s.%d", site, camera, captured.UnixNano()))
	return fmt.Sprintf("00-%x-%x-00", sum[:16], sum[16:24])
}
