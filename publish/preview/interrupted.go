package preview

import (
	"encoding/json"
	"fmt"

	"github.com/oodcast/oodcast/publish/schema"
)

// Interrupted adds the ends of the events that the previous process left open: pages that were open then still show them.
func (s *Server) Interrupted(ends []schema.Event) {
	for _, e := range ends {
		s.tell(e)
	}
}

// interruptedLines returns the ends of a camera's events that the previous process left open, as server-sent events.
func (s *Server) interruptedLines(camera string) (lines [][]byte) {
	for _, e := range s.events.interrupted(camera) {
		if b, err := json.Marshal(e); err == nil {
			lines = append(lines, fmt.Appendf(nil, "event: event\ndata: %s\n\n", b))
		}
	}
	return lines
}
