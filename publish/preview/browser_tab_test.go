package preview_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/publish/schema"
)

// TestBrowserTabsClose opens and closes tabs on a server with one place: each tab gives its place to the next one at once.
// By the silence of its connection alone a closed tab would be noticed after 18 s.
func TestBrowserTabsClose(t *testing.T) {
	cfg := testConfig()
	cfg.MaxViewers = 1
	cam := newCamera("street")
	s := start(t, cfg, []schema.Camera{cam})
	feed(t, s, cam, 15)
	window := browser(t, 800, 600)
	if _, err := chromedp.Run(window, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		tab, closeTab := chromedp.NewContext(window)
		if _, err := chromedp.Run(tab, chromedp.Navigate(s.URL())); err != nil {
			t.Fatal(err)
		}
		until(t, tab, `oodcast.mode === "webrtc" && oodcast.stats.framesDecoded > 5`)
		begin := time.Now()
		closeTab()
		wait(t, "the place of the closed tab", func() bool { return s.Viewers("street") == 0 })
		took := time.Since(begin)
		t.Logf("the place is free after %v", took.Round(time.Millisecond))
		if took > 8*time.Second { // 3 s on a machine with nothing else to do
			t.Errorf("the place is free after %v", took)
		}
	}
}
