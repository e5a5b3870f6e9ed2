package preview_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/publish/schema"
)

// TestBrowserBelowAPath puts the server behind a reverse proxy, below a path: the page takes its token out of the address,
// loads, plays, and ends its session when another camera is chosen.
func TestBrowserBelowAPath(t *testing.T) {
	street, yard := newCamera("street"), newCamera("yard")
	cfg := testConfig()
	cfg.Token, cfg.Proxies = testToken, []string{"127.0.0.0/8"}
	s := start(t, cfg, []schema.Camera{street, yard})
	feed(t, s, street, 15)
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	transport := &http.Transport{}
	proxy.Transport = transport
	site := httptest.NewServer(http.StripPrefix("/cams", proxy))
	t.Cleanup(transport.CloseIdleConnections)
	t.Cleanup(site.Close)
	ctx := browser(t, 1200, 900)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(site.URL+"/cams/?token="+testToken)); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `oodcast.stats.framesDecoded > 5 && oodcast.maps > 0`)
	if at := evaluate[string](t, ctx, `location.pathname + location.search`); at != "/cams/?camera=street" {
		t.Errorf("the page is at %s", at)
	}
	wait(t, "the viewer", func() bool { return s.Viewers("street") == 1 })
	evaluate[bool](t, ctx, `(document.querySelector('[data-camera=yard]').click(), true)`)
	wait(t, "the viewer to be gone", func() bool { return s.Viewers("street") == 0 })
}
