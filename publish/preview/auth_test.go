package preview_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

const viewerToken = "only-looking-around"

// guarded starts a server with both tokens.
func guarded(t *testing.T, edit func(*preview.Config), opts ...preview.Option) *preview.Server {
	t.Helper()
	cfg := testConfig()
	cfg.Token, cfg.ViewerToken = testToken, viewerToken
	if edit != nil {
		edit(&cfg)
	}
	return start(t, cfg, []schema.Camera{newCamera("front")}, opts...)
}

func login(t *testing.T, s *preview.Server, token string) reply {
	t.Helper()
	return send(t, "POST", s.URL()+"api/v1/login", "application/json", `{"token":"`+token+`"}`, nil)
}

// cookie returns the request header that a browser makes of an answer's cookie.
func cookie(r reply) map[string]string {
	value, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	return map[string]string{"Cookie": value}
}

// TestLogin exchanges a token for a cookie that scripts cannot read and other sites cannot use.
func TestLogin(t *testing.T) {
	s := guarded(t, nil)
	if r := login(t, s, "not-the-right-token"); r.code != 401 || r.header.Get("Set-Cookie") != "" {
		t.Errorf("wrong token: %d %v", r.code, r.header)
	}
	r := login(t, s, testToken)
	set := r.header.Get("Set-Cookie")
	if r.code != 200 || !strings.Contains(r.body, `"role":"admin"`) {
		t.Fatalf("login: %d %s", r.code, r.body)
	}
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="} {
		if !strings.Contains(set, want) {
			t.Errorf("cookie %q, want %s", set, want)
		}
	}
	if strings.Contains(set, testToken) || strings.Contains(set, "Secure") {
		t.Errorf("cookie %q", set)
	}
	h := cookie(r)
	if r := send(t, "PATCH", s.URL()+"api/v1/cameras/front", "application/json", `{"threshold":3}`, h); r.code != 200 {
		t.Errorf("PATCH with the cookie: %d %s", r.code, r.body)
	}
	h["Sec-Fetch-Site"], h["Origin"] = "cross-site", "https://evil.example"
	if r := send(t, "PATCH", s.URL()+"api/v1/cameras/front", "application/json", `{"threshold":3}`, h); r.code != 403 {
		t.Errorf("PATCH with the cookie from another site: %d", r.code)
	}
	for what, forged := range map[string]string{
		"role":      strings.Replace(cookie(login(t, s, viewerToken))["Cookie"], "=viewer.", "=admin.", 1),
		"time":      strings.Replace(h["Cookie"], "=admin.1", "=admin.9", 1),
		"signature": h["Cookie"][:len(h["Cookie"])-2] + "00",
		"nothing":   strings.SplitAfter(h["Cookie"], "=")[0],
	} {
		if r := send(t, "GET", s.URL()+"api/v1/info", "", "", map[string]string{"Cookie": forged}); r.code != 401 {
			t.Errorf("cookie with a forged %s: %d", what, r.code)
		}
	}
	again := guarded(t, nil) // after a restart
	if r := send(t, "GET", again.URL()+"api/v1/info", "", "", cookie(r)); r.code != 200 {
		t.Errorf("the cookie after a restart: %d", r.code)
	}
	other := guarded(t, func(c *preview.Config) { c.Token = "another-horse-battery" })
	if r := send(t, "GET", other.URL()+"api/v1/info", "", "", cookie(r)); r.code != 401 {
		t.Errorf("the cookie after a change of the token: %d", r.code)
	}
	if r := send(t, "POST", s.URL()+"api/v1/logout", "", "", nil); r.code != 200 || !strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %v", r.code, r.header)
	}
}

// Holders of the viewer token see everything, and change nothing.
func TestViewerToken(t *testing.T) {
	s := guarded(t, func(c *preview.Config) { c.Pprof = true })
	still(s, "front", 320, 240).Release()
	_, sdp := offer(t)
	for _, c := range []struct {
		method, path, contentType, body string
		viewer, nobody                  int
	}{
		{"GET", "api/v1/info", "", "", 200, 401},
		{"GET", "api/v1/cameras", "", "", 200, 401},
		{"GET", "api/v1/cameras/front/snapshot.jpg", "", "", 200, 401},
		{"GET", "api/v1/events", "", "", 200, 401},
		{"GET", "metrics", "", "", 200, 401},
		{"GET", "readyz?verbose", "", "", 200, 401},
		{"GET", "healthz?verbose=1", "", "", 200, 401},
		{"GET", "readyz", "", "", 200, 200},
		{"POST", "whep/front", "application/sdp", sdp, 201, 401},
		{"PATCH", "api/v1/cameras/front", "application/json", `{"paused":true}`, 403, 401},
		{"GET", "debug/pprof/goroutine", "", "", 403, 401},
	} {
		for who, want := range map[string]int{"": c.nobody, viewerToken: c.viewer} {
			h := map[string]string{}
			if who != "" {
				h["Authorization"] = "bearer " + who // schemes are not case-sensitive
			}
			if r := send(t, c.method, s.URL()+c.path, c.contentType, c.body, h); r.code != want {
				t.Errorf("%s %s with %q = %d %s, want %d", c.method, c.path, who, r.code, r.body, want)
			}
		}
	}
	if r := send(t, "GET", s.URL()+"api/v1/info", "", "", cookie(login(t, s, viewerToken))); !strings.Contains(r.body, `"role":"viewer"`) {
		t.Errorf("info: %s", r.body)
	}
}

// TestTokenLeavesTheAddress opens the page with a token in its address: the browser is led to the address without.
func TestTokenLeavesTheAddress(t *testing.T) {
	s := guarded(t, nil)
	stay := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, c := range []struct {
		query, place string
		login        bool
	}{
		{"?token=" + testToken, "./", true},
		{"?camera=front&token=" + viewerToken, "./?camera=front", true},
		{"?token=not-the-right-token", "./", false},
	} {
		r, err := stay.Get(s.URL() + c.query)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != c.place || (r.Header.Get("Set-Cookie") != "") != c.login {
			t.Errorf("GET %s = %d %v", c.query, r.StatusCode, r.Header)
		}
	}
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// from returns a client that connects from an address.
func from(address string) *http.Client {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.DialContext}}
}

// TestGuessing guesses the token: after some attempts the address has to wait, whatever it sends. Others, and those who are
// logged in, do not. The log has a line for each attempt that was looked at, in the form that docs/operation.md gives for
// fail2ban.
func TestGuessing(t *testing.T) {
	log := &lines{}
	s := guarded(t, func(c *preview.Config) { c.Proxies = []string{"127.0.0.9"} }, preview.WithRegistry(prometheus.NewRegistry()),
		preview.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	in := cookie(login(t, s, testToken))
	get := func(client *http.Client, header, value, forwarded string) (code int, retry string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"api/v1/info", nil)
		req.Header.Set(header, value)
		if forwarded != "" {
			req.Header.Set("X-Forwarded-For", forwarded)
		}
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		return r.StatusCode, r.Header.Get("Retry-After")
	}
	const right, wrong = "Bearer " + testToken, "Bearer not-the-right-token"
	guess := func(client *http.Client, forwarded string) {
		t.Helper()
		for range 10 {
			if code, _ := get(client, "Authorization", wrong, forwarded); code != 401 {
				t.Fatalf("a wrong token: %d", code)
			}
		}
		if code, retry := get(client, "Authorization", right, forwarded); code != http.StatusTooManyRequests || retry == "" {
			t.Errorf("after ten wrong tokens: %d, again after %q", code, retry)
		}
	}
	here, there, proxy := from("127.0.0.1"), from("127.0.0.2"), from("127.0.0.9")
	guess(here, "203.0.113.1") // from one who is no proxy: not believed
	if code, _ := get(here, "Cookie", in["Cookie"], ""); code != 200 {
		t.Errorf("who is logged in has to wait: %d", code)
	}
	if r := login(t, s, testToken); r.code != 429 {
		t.Errorf("a login from the address: %d", r.code)
	}
	if code, _ := get(there, "Authorization", right, ""); code != 200 {
		t.Errorf("another address has to wait: %d", code)
	}
	for range 30 {
		if code, _ := get(there, "Authorization", right, ""); code != 200 {
			t.Fatalf("right tokens are limited: %d", code)
		}
	}
	guess(proxy, "10.0.0.1, 203.0.113.7")
	if code, _ := get(proxy, "Authorization", right, "203.0.113.8"); code != 200 {
		t.Errorf("another client of the proxy has to wait: %d", code)
	}
	metrics := send(t, "GET", s.URL()+"metrics", "", "", in).body
	for _, want := range []string{`oodcast_preview_wrong_tokens_total{result="wrong"} 20`, `oodcast_preview_wrong_tokens_total{result="limited"} 3`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	ban := regexp.MustCompile(`(?m)^.*msg="wrong token" address=(\S+) where=header path=/api/v1/info$`)
	seen := map[string]int{}
	for _, m := range ban.FindAllStringSubmatch(log.String(), -1) {
		seen[m[1]]++
	}
	if len(seen) != 2 || seen["127.0.0.1"] != 10 || seen["203.0.113.7"] != 10 || strings.Contains(log.String(), "not-the-right") {
		t.Errorf("attempts in the log: %v\n%s", seen, log)
	}
}

// A local user can connect as the proxy does, and name another client each time: the proxy as a whole is limited, too. Who is
// logged in goes on.
func TestGuessesThroughAProxy(t *testing.T) {
	cfg := testConfig()
	cfg.Token, cfg.Proxies = testToken, []string{"127.0.0.1"}
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	in := cookie(login(t, s, testToken))
	codes := map[int]int{}
	for i := range 400 {
		h := map[string]string{"Authorization": "Bearer wrong", "X-Forwarded-For": fmt.Sprintf("10.0.%d.%d", i/250, i%250)}
		codes[send(t, "GET", s.URL()+"api/v1/info", "", "", h).code]++
	}
	if codes[401] < 200 || codes[429] < 100 {
		t.Errorf("400 guesses of 400 clients: %v", codes)
	}
	if r := send(t, "GET", s.URL()+"api/v1/info", "", "", in); r.code != 200 {
		t.Errorf("who is logged in: %d", r.code)
	}
}

// TestBrowserLogin logs in as a viewer. No address that the page makes has a token in it, and what the viewer may not change is
// disabled.
func TestBrowserLogin(t *testing.T) {
	cfg := testConfig()
	cfg.Token, cfg.ViewerToken = testToken, viewerToken
	cam := newCamera("street")
	s := start(t, cfg, []schema.Camera{cam})
	feed(t, s, cam, 15)
	ctx := browser(t, 1200, 900)
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL())); err != nil {
		t.Fatal(err)
	}
	enter := func(token string) {
		t.Helper()
		until(t, ctx, `document.getElementById("login").open`)
		evaluate[bool](t, ctx, `(() => { document.getElementById("token").value = "`+token+`";
			document.querySelector("#login button").click(); return true; })()`)
	}
	enter("not-the-right-token")
	until(t, ctx, `document.getElementById("login-fault").textContent === "the token is wrong"`)
	enter(viewerToken)
	until(t, ctx, `oodcast.mode === "webrtc" && oodcast.maps > 3`)
	until(t, ctx, `["timesteps", "threshold", "auto", "pause"].every(id => document.getElementById(id).disabled)`)
	for _, js := range []string{
		`performance.getEntriesByType("resource").length > 5`,
		`performance.getEntriesByType("resource").every(e => !/token|looking/.test(e.name))`,
		`[...document.querySelectorAll("a, img")].every(e => !/token|looking/.test(e.href || e.src || ""))`,
		`document.cookie === "" && sessionStorage.length === 0 && localStorage.length === 0`,
		`!document.getElementById("logout").hidden`,
	} {
		if !evaluate[bool](t, ctx, js) {
			t.Errorf("not so: %s", js)
		}
	}
	evaluate[bool](t, ctx, `(document.getElementById("logout").click(), true)`)
	wait(t, "the login form after the page has loaded again", func() bool {
		open, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`document.getElementById("login").open`))
		return err == nil && open
	})
	if _, err := chromedp.Run(ctx, chromedp.Navigate(s.URL()+"?camera=street&token="+testToken)); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `oodcast.maps > 0 && location.search === "?camera=street"`)
	until(t, ctx, `!document.getElementById("pause").disabled`)
}
