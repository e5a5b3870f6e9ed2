package publish

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/schema"
)

// openEvents holds the last message of every event that has started and not ended. If this process is killed, the next one
// ends them: a subscriber that has seen the start of an event must see its end.
type openEvents struct {
	file   string // empty: the events are not kept for the next process
	events map[string]schema.Event
}

// readOpenEvents reads file, which holds the events that were open before the first line of lines, and applies the first size
// bytes of lines. Messages that are in both do no harm.
func readOpenEvents(file string, lines io.ReaderAt, size int64) (openEvents, error) {
	o := openEvents{file: file, events: map[string]schema.Event{}}
	f, err := os.Open(file)
	if err == nil {
		err = errors.Join(o.applyLines(f), f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, err
	}
	return o, o.applyLines(io.NewSectionReader(lines, 0, size))
}

// applyLines applies one event per line and skips lines that are not events.
func (o *openEvents) applyLines(lines io.Reader) error {
	for r := bufio.NewReader(lines); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := parseEvent(line); ok {
			o.apply(e)
		}
	}
}

// apply opens, updates or closes an event.
func (o *openEvents) apply(e schema.Event) {
	if e.Type == string(events.End) {
		delete(o.events, e.ID)
		return
	}
	o.events[e.ID] = e
}

// interrupted returns an end message for every open event, with the values of its last message.
func (o *openEvents) interrupted() []schema.Event {
	var ends []schema.Event
	for _, id := range slices.Sorted(maps.Keys(o.events)) {
		e := o.events[id]
		e.Revision++
		e.Origin = schema.ThisProcess()
		e.Type, e.Reason = string(events.End), string(events.EndInterrupted)
		ends = append(ends, e)
	}
	return ends
}

// marshal returns the content of the file: one JSON line per open event.
func (o *openEvents) marshal() ([]byte, error) {
	var b []byte
	for _, id := range slices.Sorted(maps.Keys(o.events)) {
		line, err := json.Marshal(o.events[id])
		if err != nil {
			return nil, err
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}
