package preview_test

import (
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// TestBrowserTellsWhatIsWrong switches on a phone from a live camera to one that is down, while NATS is unreachable and a
// configuration was rejected. The page reports all three, calls nothing live, and shows no figure of the first camera.
func TestBrowserTellsWhatIsWrong(t *testing.T) {
	good, gone := newCamera("street"), newCamera("yard")
	gone.set(func(s *schema.Status) {
		s.State, s.ConfigFault = schema.StateDown, "site.yaml: configuration: zoo: unknown key (line 10)"
		s.Reason = `open stream "rtsp://***@192.0.2.1:554/live": no connection: Connection to tcp://192.0.2.1:554?timeout=5000000 failed`
		s.Timesteps, s.TimestepsUsed = schema.Timesteps{Auto: true}, 0
	})
	var connected atomic.Bool
	connected.Store(true)
	s := start(t, testConfig(), []schema.Camera{good, gone}, preview.WithBus(preview.Bus{
		Subjects: "watch.v1.home.>", Connected: connected.Load,
	}))
	feed(t, s, good, 15)
	ctx := browser(t, 390, 844)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.getElementById("badge-text").textContent.startsWith("live")`)
	until(t, ctx, `/^\d/.test(document.getElementById("peak").textContent)`)
	until(t, ctx, `document.getElementById("subject").textContent === "watch.v1.home.street.>"`)
	if !evaluate[bool](t, ctx, `document.getElementById("notices").hidden`) {
		t.Error("notices when all is well")
	}
	if !evaluate[bool](t, ctx, `document.querySelector('[data-camera=yard]').className === "down"`) {
		t.Error("the tab of the camera that is down does not show it")
	}
	connected.Store(false)
	evaluate[bool](t, ctx, `(document.querySelector('[data-camera=yard]').click(), true)`)
	until(t, ctx, `document.getElementById("badge-text").textContent === "no signal"`)
	until(t, ctx, `document.querySelectorAll("#notices li").length === 3`)
	for _, js := range []string{
		`document.getElementById("state-text").textContent === "down"`,
		`document.getElementById("notices").textContent.includes("NATS is unreachable")`,
		`document.getElementById("notices").textContent.includes("zoo: unknown key")`,
		`["peak", "total", "area", "timesteps-value"].every(id => document.getElementById(id).textContent === "–")`,
		`!document.getElementById("budget-row").hidden`,
		`location.search === "?camera=yard"`,
		`document.documentElement.scrollWidth <= innerWidth`,
	} {
		if !evaluate[bool](t, ctx, js) {
			t.Errorf("not so: %s", js)
		}
	}
}
