package watch

import (
	"strings"
	"testing"
	"time"

	"github.com/oodcast/oodcast/publish/schema"
	"github.com/oodcast/oodcast/publish/visible"
)

// attack sets the title, clears the screen, writes the clipboard, forges a line, and writes from right to left.
const attack = "\x1b]0;owned\a\x1b[2J\x1b]52;c;b3du\a\u009b31m\r\nforged line\x7f\u202e"

// The live view and the lines of watch show what comes from the bus without its control characters.
func TestWatchIsHarmless(t *testing.T) {
	w := New(nil, func() string { return "nats://h" + attack })
	w.status(schema.Status{Camera: "cam" + attack, State: "down" + attack, Reason: "because" + attack, Time: time.Now()})
	w.score(schema.Score{Camera: "other" + attack})
	w.event(schema.Event{Camera: "cam" + attack, Type: "start" + attack, ID: "id" + attack})
	w.setNote("note" + attack)
	v := newView(w)
	v.height = 60
	for what, s := range map[string]string{"view": v.View(), "summary": w.summary(time.Now()), "event": <-w.eventLines} {
		for line := range strings.Lines(s) { // without a terminal, the view has no colours
			if line = strings.TrimSuffix(line, "\n"); visible.Text(line) != line || strings.HasPrefix(line, "forged") {
				t.Errorf("%s: %q", what, line)
			}
		}
	}
}
