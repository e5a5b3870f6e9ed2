package preview

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// shownAudits is the number of changes of settings that a page shows, whoever made them and on whichever camera.
const shownAudits = 50

// audits keeps the latest changes of settings.
type audits struct {
	mu   sync.Mutex
	list []schema.Audit // oldest first
}

// Audit adds a change of settings to the list that the API returns with the events, and sends it to all pages: a change
// concerns whoever watches, and the page of a camera that a reload removes is gone. Text from outside is cut off at 200 bytes
// and loses its control characters.
func (s *Server) Audit(a schema.Audit) {
	a.Name, a.Address = schema.Clean(a.Name), schema.Clean(a.Address)
	a.Changes = slices.Clone(a.Changes)
	for i, c := range a.Changes {
		a.Changes[i] = schema.Change{Key: schema.Clean(c.Key), Before: schema.Clean(c.Before), After: schema.Clean(c.After)}
	}
	s.audits.add(a)
	for _, st := range s.cams.all() {
		s.broadcast(st, schema.KindAudit, a)
	}
}

func (l *audits) add(a schema.Audit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, a)
	l.list = slices.Delete(l.list, 0, max(0, len(l.list)-historySize))
}

// since returns the changes later than t, of one camera or of all cameras ("").
func (l *audits) since(t time.Time, camera string) []schema.Audit {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []schema.Audit{}
	for _, a := range l.list {
		if a.Time.After(t) && (camera == "" || a.Camera == camera) {
			out = append(out, a)
		}
	}
	return out
}

// auditLines returns the latest changes as server-sent events, oldest first, for a page that begins to listen.
func (s *Server) auditLines() (lines [][]byte) {
	list := s.audits.since(time.Time{}, "")
	for _, a := range list[max(0, len(list)-shownAudits):] {
		if b, err := marshal(a); err == nil {
			lines = append(lines, fmt.Appendf(nil, "event: %s\ndata: %s\n\n", schema.KindAudit, b))
		}
	}
	return lines
}
