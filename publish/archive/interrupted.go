package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// Interrupted hands over the ends of the events that the previous process left open, once: their event.json gets the end. It
// does not wait for the disk.
func (a *Archive) Interrupted(ends []schema.Event) {
	select {
	case a.ends <- ends:
	default: // a second call
	}
}

// endAll writes the ends of events into their documents, wherever these are.
func (a *Archive) endAll(ctx context.Context, ends []schema.Event) {
	for _, e := range ends {
		if a.dir == nil || ctx.Err() != nil {
			return
		}
		a.report("event", a.endInterrupted(ctx, e))
	}
}

// endInterrupted writes the end of one event, unless the archive has nothing of the event or has its end already.
func (a *Archive) endInterrupted(ctx context.Context, e schema.Event) error {
	in, err := folder(a.site, e.ID)
	if err != nil {
		return nil //nolint:nilerr // not an event of ours
	}
	name := path.Join(in, FileEvent)
	for _, from := range a.sources() {
		raw, err := from.get(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var doc document
		if err == nil {
			err = json.Unmarshal(raw, &doc)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if doc.Format != marker || doc.Event.ID != e.ID || doc.Event.Type == string(events.End) {
			return nil
		}
		if doc.Event.Revision >= e.Revision { // it has a message that the spool has not
			snapshot := doc.Event
			snapshot.Revision, snapshot.Type, snapshot.Reason, snapshot.Origin = e.Revision, e.Type, e.Reason, e.Origin
			e = snapshot
		}
		if e.Snapshot == "" {
			e.Snapshot = doc.Event.Snapshot
		}
		doc.Event = e
		if raw, err = json.MarshalIndent(doc, "", " "); err != nil {
			return err
		}
		a.store.mark(e.ID)
		if a.put(name, append(raw, '\n')) {
			a.store.mark(e.ID)
		}
		return nil
	}
	return nil
}
