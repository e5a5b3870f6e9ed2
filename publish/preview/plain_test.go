package preview_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// hostile is what a camera, or a stranger on the bus, may want people to read: markup, terminal escapes, C1 controls, a
// turned writing direction, a line of its own.
const hostile = "<img src=x onerror=\"document.title='broken in'\">\x1b]0;t\a\x1b[2J\u009b31m\x7f\u202egnp.exe\u2028\r\nWARN ok \\u001b \"é\""

// plain reports what is left of hostile.
func checkPlain(t *testing.T, where, text string) {
	t.Helper()
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf) || r == '\u2028' {
			t.Errorf("%s has %U", where, r)
			return
		}
	}
	for _, want := range []string{"<img src=x", "gnp.exe", `WARN ok \u001b "é"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is %q, which lacks %q", where, text, want)
		}
	}
}

func hostileServer(t *testing.T) *preview.Server {
	t.Helper()
	cam := newCamera("front")
	cam.set(func(s *schema.Status) {
		s.State, s.Reason, s.Hint, s.Source, s.Bundle, s.Provider, s.ConfigFault = schema.StateDown, hostile, hostile, hostile, hostile, hostile, hostile
		s.Stats.Dropped = map[string]uint64{hostile: 1}
		s.Stats.Drift = &schema.Drift{Hint: hostile}
	})
	s := start(t, testConfig(), []schema.Camera{cam}, preview.WithVersion(hostile), preview.WithReady(func() error {
		return errors.New(hostile)
	}))
	now := time.Now()
	s.Event(events.Event{
		ID: hostile, Revision: 1, Type: events.End, Camera: "front", Reason: hostile, Bundle: hostile, Into: hostile, Start: now, Time: now,
		Category: events.Covered, Zone: hostile, SeenAs: hostile,
	})
	return s
}

// No text of the API has control characters, in whatever place of an answer.
func TestTextsArePlain(t *testing.T) {
	s := hostileServer(t)
	checkPlain(t, "readyz", strings.TrimSpace(send(t, "GET", s.URL()+"readyz", "", "", nil).body))
	texts := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if strings.Contains(k, "img") {
					checkPlain(t, path+" key", k)
				}
				walk(path+"."+k, e)
			}
		case []any:
			for _, e := range v {
				walk(path, e)
			}
		case string:
			if strings.Contains(v, "img") {
				texts++
				checkPlain(t, path, v)
			}
		}
	}
	for _, path := range []string{"api/v1/info", "api/v1/cameras", "api/v1/cameras/front", "api/v1/events"} {
		r := send(t, "GET", s.URL()+path, "", "", nil)
		var v any
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		walk(path, v)
	}
	if texts < 20 {
		t.Errorf("%d texts were looked at", texts)
	}
}

// The page shows such texts as texts.
func TestBrowserShowsTextsAsTexts(t *testing.T) {
	s := hostileServer(t)
	ctx := browser(t, 1200, 900)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelectorAll("#notices li").length >= 3 && document.querySelectorAll("#events li").length === 1`)
	checkPlain(t, "notices", evaluate[string](t, ctx, `document.querySelector("#notices li").textContent`))
	checkPlain(t, "source", evaluate[string](t, ctx, `document.getElementById("source").textContent`))
	checkPlain(t, "event", evaluate[string](t, ctx, `document.querySelector("#events li").title`))
	where := evaluate[string](t, ctx, `document.querySelector("#events .where").textContent`)
	checkPlain(t, "zone and class of an event", where)
	if !strings.Contains(where, ", lens covered, seen as <img") {
		t.Errorf("the event says %q", where)
	}
	for _, js := range []string{
		`document.querySelectorAll("img[src=x]").length === 0`,
		`document.title === "front · oodcast"`,
		`!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(document.documentElement.outerHTML)`,
	} {
		if !evaluate[bool](t, ctx, js) {
			t.Errorf("not so: %s", js)
		}
	}
}
