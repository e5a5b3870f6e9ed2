package schema

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// TraceParent is the header "traceparent" (W3C Trace Context) of every message about the frame that a camera captured at
// that time. It is made of nothing but these three, so whoever has a map, an event or a file with its time of capture can
// tell what belongs together, and a subscriber's spans hang below the frame. oodcast records no spans itself: the flags say
// "not sampled".
func TraceParent(site, camera string, captured time.Time) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s.%s.%d", site, camera, captured.UnixNano()))
	return fmt.Sprintf("00-%x-%x-00", sum[:16], sum[16:24])
}
