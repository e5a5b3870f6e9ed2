package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/oodcast/oodcast/publish"
	"github.com/oodcast/oodcast/publish/client"
	"github.com/oodcast/oodcast/publish/schema"
)

// A region is tried, taught, listed and forgotten over HTTP and NATS; what cannot be taught is refused with a reason. What
// was taught holds after a restart, and each change is audited.
func TestNormal(t *testing.T) {
	state := t.TempDir()
	config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "embedded://127.0.0.1:0", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
bundle: roadscene-s
detector: {timesteps: 1, width: 512, height: 384, threshold: 1000}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, state, demoClip(t)))
	p := start(t, "run", "--config", config)
	place := pageOf(t, p) + "/api/v1/cameras/yard/normal"

	const region = `"region": {"x": 0.2, "y": 0.7, "width": 0.1, "height": 0.1}`
	var tried schema.Taught
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) { // until there is a picture
		code, body := call(t, "POST", place, "{"+region+`, "dry_run": true}`)
		if code == http.StatusOK {
			decode(t, body, &tried)
			break
		}
		if code != http.StatusConflict || !strings.Contains(body, "no picture yet") || time.Now().After(deadline) {
			t.Fatalf("%d %s", code, body)
		}
	}
	if tried.Lesson != nil || tried.Events != 0 || tried.Explained == nil || len(lessonsAt(t, place)) != 0 {
		t.Errorf("a dry run: %+v", tried)
	}
	for body, want := range map[string]int{
		`{}`: 400, "{" + region + `, "event": "a"}`: 400, `{"region": {"x": 0.9, "y": 0, "width": 0.2, "height": 0.1}}`: 400,
		`{"normal": true}`: 400, `{"event": "yard-1-0"}`: 409, `{"region": {"x": 0, "y": 0, "width": 1, "height": 1}}`: 409,
	} {
		if code, answer := call(t, "POST", place, body); code != want || !strings.Contains(answer, `"error"`) {
			t.Errorf("%s: %d %s, want %d", body, code, answer, want)
		}
	}
	var taught schema.Taught
	code, body := call(t, "POST", place, "{"+region+"}")
	if decode(t, body, &taught); code != http.StatusOK || taught.Lesson == nil || taught.Lesson.Tokens < 4 {
		t.Fatalf("%d %s", code, body)
	}
	if _, events := call(t, "GET", strings.Replace(place, "cameras/yard/normal", "events", 1), ""); !strings.Contains(events, `"action":"teach"`) {
		t.Errorf("not audited: %s", events)
	}
	if code, took := p.stop(t, syscall.SIGTERM); code != exitDone {
		t.Fatalf("exit code %d after %v", code, took)
	}

	p = start(t, "run", "--config", config)
	place = pageOf(t, p) + "/api/v1/cameras/yard/normal"
	list := lessonsAt(t, place)
	if len(list) != 1 || list[0].ID != taught.Lesson.ID || list[0].Stale || list[0].Via != schema.ViaHTTP || list[0].Box != taught.Lesson.Box {
		t.Fatalf("after a restart: %+v", list)
	}
	var url string
	if _, err := fmt.Sscan(p.find(t, "nats "), &url); err != nil {
		t.Fatal(err)
	}
	nc, err := publish.Dial(publish.Config{URL: url, StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c := client.New(nc)
	if list, err := c.Lessons(t.Context(), "yard"); err != nil || len(list) != 1 {
		t.Errorf("over NATS: %v, %v", list, err)
	}
	if _, err := c.Teach(t.Context(), "yard", schema.Teaching{Event: "none"}); err == nil || !strings.Contains(err.Error(), "features of this event") {
		t.Errorf("an unknown event: %v", err)
	}
	if err := c.Forget(t.Context(), "yard", "none"); err == nil || !strings.Contains(err.Error(), "no such lesson") {
		t.Errorf("an unknown lesson: %v", err)
	}
	if err := c.Forget(t.Context(), "yard", list[0].ID); err != nil || len(lessonsAt(t, place)) != 0 {
		t.Errorf("forget: %v", err)
	}
	if code, answer := call(t, "DELETE", place+"/"+list[0].ID, ""); code != http.StatusNotFound {
		t.Errorf("forgotten twice: %d %s", code, answer)
	}
}

// pageOf returns the address of a running service's page.
func pageOf(t *testing.T, p *process) string {
	t.Helper()
	return strings.TrimSuffix("http://"+strings.Fields(p.find(t, "http://"))[0], "/")
}

func call(t *testing.T, method, url, body string) (code int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(raw)
}

func decode(t *testing.T, body string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

func lessonsAt(t *testing.T, url string) []schema.Lesson {
	t.Helper()
	var answer struct{ Lessons []schema.Lesson }
	_, body := call(t, "GET", url, "")
	decode(t, body, &answer)
	return answer.Lessons
}

// Every event on the page can be taught, from its start on, unless it is too large; the answer counts the event itself among
// those that would not have been.
func TestNormalEvent(t *testing.T) {
	config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "off", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
bundle: roadscene-s
detector: {timesteps: 1, width: 384, height: 288, threshold: 5.5}
events: {min_area: 0.002}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, t.TempDir(), demoClip(t)))
	page := pageOf(t, start(t, "run", "--config", config))
	tried := map[string]bool{}
	for deadline := time.Now().Add(60 * time.Second); len(tried) < 4; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events in a minute", len(tried))
		}
		var list struct{ Events []schema.Event }
		_, body := call(t, "GET", page+"/api/v1/events", "")
		decode(t, body, &list)
		for _, e := range list.Events {
			if tried[e.ID] {
				continue
			}
			tried[e.ID] = true
			code, body := call(t, "POST", page+"/api/v1/cameras/yard/normal", fmt.Sprintf(`{"event": %q, "dry_run": true}`, e.ID))
			if code == http.StatusConflict && strings.Contains(body, "% of the picture") {
				continue
			}
			var taught schema.Taught
			if decode(t, body, &taught); code != http.StatusOK || !slices.Contains(taught.Explained, e.ID) || taught.Events < 1 {
				t.Errorf("event %s: %d %s", e.ID, code, body)
			}
		}
	}
}

// A person teaches an event from the page: the effect is shown first, the lesson is listed, and it is taken back.
func TestPageTeaches(t *testing.T) {
	config := write(t, filepath.Join(t.TempDir(), "run.yaml"), fmt.Sprintf(`
publish: {url: "off", state_dir: %q}
preview: {listen: "127.0.0.1:0"}
bundle: roadscene-s
detector: {timesteps: 1, width: 384, height: 288, threshold: 5.5}
events: {min_area: 0.002}
cameras: [{name: yard, uri: %q, realtime: true, loop: true}]
`, t.TempDir(), demoClip(t)))
	page := pageOf(t, start(t, "run", "--config", config))
	ctx := browser(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(page+"/"), chromedp.WaitVisible("#video")); err != nil {
		t.Fatal(err)
	}
	is := func(js string) {
		t.Helper()
		waitFor(t, func() (bool, bool) { ok := evaluate[bool](ctx, t, js); return ok, ok })
	}
	// Large events cannot be taught: another one is tried until the question appears.
	is(`(() => {
		if (document.querySelector("#normal").open) return true;
		const all = [...document.querySelectorAll("#events li button")];
		if (all.length) all[Math.floor(Math.random() * all.length)].click();
		return false;
	})()`)
	is(`/would not have been|no other events/.test(document.querySelector("#normal-effect").textContent)`)
	evaluate[chromedp.Void](ctx, t, `document.querySelector("#normal button[value=learn]").click()`)
	is(`!document.querySelector("#lessons-card").hidden && document.querySelectorAll("#lessons li").length === 1`)
	if list := lessonsAt(t, page+"/api/v1/cameras/yard/normal"); len(list) != 1 || list[0].Event == "" {
		t.Errorf("lessons %+v", list)
	}
	evaluate[chromedp.Void](ctx, t, `document.querySelector("#lessons li button").click()`)
	is(`document.querySelector("#lessons-card").hidden`)
	is(`/forgotten/.test(document.querySelector("#audit").textContent)`)
}
