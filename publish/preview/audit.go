package preview

import (
	"slices"
	"sync"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
)

// audits keeps the latest changes of settings.
type audits struct {
	mu   sync.Mutex
	list []schema.Audit // oldest first
}

// Audit adds a change of settings to the list that the API returns with the events.
func (s *Server) Audit(a schema.Audit) { s.audits.add(a) }

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
