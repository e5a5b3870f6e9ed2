package preview_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// auditedCamera reports every change to the server, as cameras of the pipeline do.
type auditedCamera struct {
	*camera
	server *preview.Server
}

func (c *auditedCamera) Apply(who schema.Requester, u schema.Update) (schema.Status, error) {
	before := c.Status().Settings().Only(u)
	st, err := c.camera.Apply(who, u)
	if err == nil {
		c.server.Audit(schema.Audit{
			Site: "default", Camera: c.name, Time: time.Now().UTC(), Requester: who, Action: u.Action(),
			Before: before, After: st.Settings().Only(u),
		})
	}
	return st, err
}

// startAudited runs a server with the cameras front and rear, whose changes are reported.
func startAudited(t *testing.T, cfg preview.Config) *preview.Server {
	t.Helper()
	s := start(t, cfg, nil)
	for _, name := range []string{"front", "rear"} {
		if err := s.AddCamera(&auditedCamera{newCamera(name), s}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// auditStream returns a function that reads the next audit line of a camera's page.
func auditStream(t *testing.T, s *preview.Server, camera, token string) func() schema.Audit {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"api/v1/cameras/"+camera+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := fresh().Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("live: %v, %v", res, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() (a schema.Audit) {
		t.Helper()
		kind := ""
		for lines.Scan() {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && kind == "audit" {
				if err := json.Unmarshal([]byte(data), &a); err != nil {
					t.Fatal(err)
				}
				return a
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return a
	}
}

// TestAuditReachesPages changes settings while pages are open and before: each page hears of the changes of all cameras, as a
// viewer too, with the client's address behind a proxy, and without control characters.
func TestAuditReachesPages(t *testing.T) {
	cfg := testConfig()
	cfg.Token, cfg.ViewerToken, cfg.Proxies = testToken, viewerToken, []string{"127.0.0.1"}
	s := startAudited(t, cfg)
	patch := func(camera, body string) {
		t.Helper()
		h := map[string]string{
			"Authorization": "Bearer " + testToken, "X-Forwarded-For": "192.0.2.7", "User-Agent": "curl/8\u202e",
		}
		if r := send(t, "PATCH", s.URL()+"api/v1/cameras/"+camera, "application/json", body, h); r.code != http.StatusOK {
			t.Fatalf("patch: %d %s", r.code, r.body)
		}
	}
	for i := range 60 { // more than a page shows
		patch("rear", fmt.Sprintf(`{"timesteps":%d}`, 1+i%25))
	}
	next := auditStream(t, s, "front", viewerToken)
	for i := 10; i < 60; i++ {
		if a := next(); a.Camera != "rear" || a.After.Timesteps.N != 1+i%25 {
			t.Fatalf("change %d is %+v", i, a)
		}
	}
	patch("front", `{"threshold":6.5}`)
	a := next()
	want := schema.Requester{Via: "http", Name: "curl/8", Address: "192.0.2.7"}
	if a.Camera != "front" || *a.Before.Threshold != 4 || *a.After.Threshold != 6.5 || a.Requester != want {
		t.Errorf("the page hears %+v, want the threshold and %+v", a, want)
	}
	s.Audit(schema.Audit{
		Camera: "gone", Time: time.Now(), Action: schema.ActionRemoved,
		Requester: schema.Requester{Via: schema.ViaConfig, Address: "/etc/\x1b[2Jsite.yaml", Name: strings.Repeat("n", 1000)},
		Changes:   []schema.Change{{Key: "uri", Before: "a\nb", After: "\x1b]0;title\x07" + strings.Repeat("v", 1000)}},
	})
	a = next()
	if a.Camera != "gone" || a.Address != "/etc/[2Jsite.yaml" || a.Changes[0].Before != "ab" || len(a.Name) > 210 ||
		!strings.HasPrefix(a.Changes[0].After, "]0;title") || len(a.Changes[0].After) > 210 {
		t.Errorf("the page hears %+v", a)
	}
	var list struct{ Audit []schema.Audit }
	h := map[string]string{"Authorization": "Bearer " + viewerToken}
	r := send(t, "GET", s.URL()+"api/v1/events", "", "", h)
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Audit) != 62 || strings.ContainsAny(r.body, "\x1b\x07") {
		t.Errorf("the API lists %d changes, %v", len(list.Audit), err)
	}
	for range 300 {
		patch("front", `{"threshold":7}`)
	}
	r = send(t, "GET", s.URL()+"api/v1/events", "", "", h)
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || len(list.Audit) != 200 {
		t.Errorf("after 362 changes the API lists %d, %v, want the latest 200", len(list.Audit), err)
	}
}

// TestBrowserShowsChanges pauses and adjusts a camera on the page: a line each says when, what, from what to what, who and
// from where, at once and after the page is loaded again. Text from outside stays text.
func TestBrowserShowsChanges(t *testing.T) {
	s := startAudited(t, testConfig())
	ctx := browser(t, 1280, 1400)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `oodcast.status && !document.getElementById("no-audit").hidden`)
	row := func(n int) string { return fmt.Sprintf(`document.querySelectorAll("#audit li")[%d]?.textContent`, n) }
	setSlider(t, ctx, "threshold", 6.5)
	until(t, ctx, row(0)+`?.includes("front: threshold 4 → 6.5browser · 127.0.0.1:")`)
	evaluate[bool](t, ctx, `(document.getElementById("pause").click(), true)`)
	until(t, ctx, row(0)+`?.includes("front: pausedbrowser")`)
	reload := schema.Requester{Via: schema.ViaConfig, Address: "/etc/oodcast/site.yaml"}
	now := time.Now().Add(time.Second) // the camera's clock is ours
	for i, a := range []schema.Audit{
		{Camera: "rear", Action: schema.ActionReload, Changes: []schema.Change{
			{Key: "detector.threshold", Before: "4", After: "<b>9</b>"}, {Key: "max_fps", Before: "0", After: "5"},
		}},
		{Camera: "yard", Action: schema.ActionAdded},
	} {
		a.Time, a.Requester = now.Add(time.Duration(i)*time.Millisecond), reload
		s.Audit(a)
	}
	until(t, ctx, row(0)+`?.endsWith("yard: camera added/etc/oodcast/site.yaml")`)
	check := func(state string) {
		t.Helper()
		for _, js := range []string{
			row(1) + `.includes("rear: detector.threshold 4 → <b>9</b>, max_fps 0 → 5/etc/oodcast/site.yaml")`,
			row(3) + `.includes("front: threshold 4 → 6.5")`,
			`document.querySelectorAll("#audit li").length === 4 && document.getElementById("no-audit").hidden`,
			`/^\d\d:\d\d:\d\d$/.test(document.querySelector("#audit time").textContent)`,
			`document.documentElement.scrollWidth <= innerWidth`,
		} {
			if !evaluate[bool](t, ctx, js) {
				t.Errorf("%s: not so: %s", state, js)
			}
		}
	}
	check("live")
	if _, err := chromedp.Run(ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelectorAll("#audit li").length === 4`)
	check("loaded again")
	evaluate[bool](t, ctx, `(document.querySelector("[data-camera=rear]").click(), true)`)
	until(t, ctx, `oodcast.camera === "rear" && oodcast.status.camera === "rear"`)
	check("on another camera's page")
	shots := os.Getenv("OODCAST_SCREENSHOTS")
	for _, width := range []int64{1280, 360} {
		if _, err := chromedp.Run(ctx, chromedp.EmulateViewport(width, 1700)); err != nil {
			t.Fatal(err)
		}
		check(fmt.Sprint(width, " px wide"))
		if shots != "" {
			screenshot(t, ctx, filepath.Join(shots, fmt.Sprintf("audit-%d.png", width)))
		}
	}
}
