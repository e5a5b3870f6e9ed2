package preview_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/detector/events"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/publish/preview"
	"github.com/oodcast/oodcast/publish/schema"
)

// peakMap has one anomalous cell in the middle of a 16×8 grid.
func peakMap(camera string, seq uint64) *detector.Map {
	m := &detector.Map{
		Camera: camera, Seq: seq, Captured: time.Now(), Width: 16, Height: 8, ImageWidth: 320, ImageHeight: 160,
		Values: make([]float32, 16*8), Timesteps: []int{1, 2, 3, 4, 5}, Threshold: 4, Peak: 9, Bundle: "b", Provider: "cpu",
	}
	m.Values[4*16+8] = 9
	return m
}

// fresh is a client that leaves no idle connection behind.
func fresh() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

func TestAPI(t *testing.T) {
	cam := newCamera("front")
	s := start(t, testConfig(), []schema.Camera{cam, newCamera("rear")}, preview.WithVersion("1.2.3"))
	api := s.URL() + "api/v1/"
	for _, c := range []struct {
		name, method, path, body string
		code                     int
		want                     string // part of the answer
	}{
		{"info", "GET", "info", "", 200, `"version":"1.2.3"`},
		{"cameras", "GET", "cameras", "", 200, `"camera":"rear"`},
		{"camera", "GET", "cameras/front", "", 200, `"timesteps":5`},
		{"patch", "PATCH", "cameras/front", `{"timesteps":9,"threshold":2.5}`, 200, `"timesteps":9,`},
		{"patched", "GET", "cameras/front", "", 200, `"threshold":2.5`},
		{"auto", "PATCH", "cameras/front", `{"timesteps":"auto","latency_budget":"120ms"}`, 200, `"timesteps":"auto"`},
		{"too many", "PATCH", "cameras/front", `{"timesteps":99}`, 400, `{"error":"timesteps: got 99, want 1..25"}`},
		{"unknown key", "PATCH", "cameras/front", `{"tresholt":1}`, 400, `{"error":"unknown field \"tresholt\""}`},
		{"not json", "PATCH", "cameras/front", `timesteps=5`, 400, "request is not JSON"},
		{"huge", "PATCH", "cameras/front", strings.Repeat("x", 100000), 413, "request of more than"},
		{"nobody", "GET", "cameras/left", "", 404, `{"error":"no camera \"left\""}`},
		{"put", "PUT", "cameras/front", "", 405, ""},
		{"no events", "GET", "events", "", 200, `{"events":[]}`},
		{"bad since", "GET", "events?since=yesterday", "", 400, "want RFC 3339"},
		{"no snapshot yet", "GET", "cameras/front/snapshot.jpg", "", 503, "has not delivered a frame"},
		{"no map yet", "GET", "cameras/front/map.png", "", 503, "no map has been made"},
		{"nowhere", "GET", "nowhere", "", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := send(t, c.method, api+c.path, "application/json", c.body, nil)
			if r.code != c.code || !strings.Contains(r.body, c.want) {
				t.Errorf("%s %s = %d %s, want %d with %s", c.method, c.path, r.code, r.body, c.code, c.want)
			}
		})
	}
	if st := cam.Status(); !st.Timesteps.Auto || st.Threshold != 2.5 {
		t.Errorf("camera has %+v", st)
	}
}

func TestPictures(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	still(s, "front", 1280, 640).Release()
	s.Map(peakMap("front", 7))
	base := s.URL() + "api/v1/cameras/front/"

	get := func(path string) (image.Image, reply) {
		t.Helper()
		r := send(t, "GET", base+path, "", "", nil)
		if r.code != 200 {
			t.Fatalf("%s: %d %s", path, r.code, r.body)
		}
		img, _, err := image.Decode(strings.NewReader(r.body))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return img, r
	}
	marked, r := get("snapshot.jpg")
	plain, _ := get("snapshot.jpg?overlay=0")
	if marked.Bounds() != image.Rect(0, 0, 1280, 640) || plain.Bounds() != marked.Bounds() {
		t.Errorf("snapshots are %v and %v", marked.Bounds(), plain.Bounds())
	}
	if _, err := time.Parse(time.RFC3339Nano, r.header.Get("X-Capture-Time")); err != nil {
		t.Error(err)
	}
	red := func(img image.Image, x, y int) int {
		r, _, b, _ := img.At(x, y).RGBA()
		return int(r>>8) - int(b>>8)
	}
	if d := red(marked, 680, 360); d < 40 { // the middle of the anomalous cell
		t.Errorf("the anomaly is %d redder than blue, want at least 40", d)
	}
	for _, p := range []image.Point{{100, 100}, {1200, 500}, {680, 100}} {
		a, b := marked.At(p.X, p.Y), plain.At(p.X, p.Y)
		ar, _, _, _ := a.RGBA()
		br, _, _, _ := b.RGBA()
		if d := int(ar>>8) - int(br>>8); d < -4 || d > 4 {
			t.Errorf("normal area at %v differs: %v, %v", p, a, b)
		}
	}
	grey, r := get("map.png")
	g16, ok := grey.(*image.Gray16)
	if !ok || g16.Bounds() != image.Rect(0, 0, 16, 8) || g16.Gray16At(8, 4).Y != 65535 || g16.Gray16At(0, 0).Y != 0 {
		t.Errorf("map is %T %v", grey, grey.Bounds())
	}
	if r.header.Get("X-Value-Max") != "9" || r.header.Get("X-Seq") != "7" {
		t.Errorf("headers %v", r.header)
	}
	if c, _ := get("map.png?color=1"); red(c, 8, 4) < 40 {
		t.Error("the anomaly is not warm")
	}
	if _, err := png.Decode(strings.NewReader(r.body)); err != nil {
		t.Error(err)
	}
}

func TestMJPEG(t *testing.T) {
	cam := newCamera("street")
	s := start(t, testConfig(), []schema.Camera{cam})
	feed(t, s, cam, 15)
	resp, err := fresh().Get(s.URL() + "api/v1/cameras/street/stream.mjpg")
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(resp.Body, params["boundary"])
	var first image.Image
	for i := range 10 {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		img, err := jpeg.Decode(part)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = img
		} else if i == 9 && difference(first, img) < 0.3 {
			t.Error("the picture does not move")
		}
	}
	if n := s.Viewers("street"); n != 1 {
		t.Errorf("Viewers() = %d, want 1", n)
	}
	_ = resp.Body.Close()
	wait(t, "the viewer to be gone", func() bool { return s.Viewers("street") == 0 })
}

func TestEvents(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")}, preview.WithSite("yard"))
	begin := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for i := range 300 {
		s.Event(
			events.Event{
				ID: fmt.Sprint("e", i), Revision: 1, Type: events.Start, Camera: "front", Start: begin,
				Time: begin.Add(time.Duration(i) * time.Second),
			},
		)
	}
	s.Event(
		events.Event{
			ID: "e299", Revision: 2, Type: events.End, Camera: "front", Start: begin,
			Time: begin.Add(400 * time.Second),
		},
	)
	list := func(query string) []schema.Event {
		t.Helper()
		var out struct{ Events []schema.Event }
		r := send(t, "GET", s.URL()+"api/v1/events"+query, "", "", nil)
		if err := json.Unmarshal([]byte(r.body), &out); err != nil {
			t.Fatalf("%s: %v", r.body, err)
		}
		return out.Events
	}
	if all := list(""); len(all) != 200 || all[199].ID != "e299" || all[199].Type != "end" || all[199].Site != "yard" {
		t.Errorf("%d events, the last is %+v", len(all), all[len(all)-1])
	}
	if n := len(list("?since=2026-05-04T12:04:50Z")); n != 9 {
		t.Errorf("%d events since, want 9", n)
	}
	if n := len(list(fmt.Sprintf("?camera=front&since=%d", begin.Add(300*time.Second).UnixMilli()))); n != 1 {
		t.Errorf("%d events since, want 1", n)
	}
	if n := len(list("?camera=rear")); n != 0 {
		t.Errorf("%d events of another camera", n)
	}
}

// TestLive reads server-sent events: the status at once, then scores and events.
func TestLive(t *testing.T) {
	s := start(t, testConfig(), []schema.Camera{newCamera("front")})
	resp, err := fresh().Get(s.URL() + "api/v1/cameras/front/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) string {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == "event: "+want {
				lines.Scan()
				return strings.TrimPrefix(lines.Text(), "data: ")
			}
		}
		t.Fatalf("no %s event", want)
		return ""
	}
	next("status")
	s.Map(peakMap("front", 3))
	var m struct {
		Seq       uint64
		Peak      float32
		Timesteps int
	}
	if err := json.Unmarshal([]byte(next("score")), &m); err != nil || m.Seq != 3 || m.Peak != 9 || m.Timesteps != 5 {
		t.Errorf("score %+v, %v", m, err)
	}
	s.Event(events.Event{ID: "x", Type: events.Start, Camera: "front"})
	if e := next("event"); !strings.Contains(e, `"id":"x"`) {
		t.Errorf("event %s", e)
	}
}

func TestToken(t *testing.T) {
	cfg := testConfig()
	cfg.Token = testToken
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	for _, c := range []struct {
		path, bearer string
		want         int
	}{
		{"", "", 200}, // the page asks for the token
		{"livez", "", 200},
		{"readyz", "", 200},
		{"metrics", "", 401},
		{"api/v1/cameras", "", 401},
		{"api/v1/cameras", "wrong", 401},
		{"api/v1/cameras", cfg.Token, 200},
		{"api/v1/cameras?token=" + cfg.Token, "", 200},
		{"api/v1/cameras/front/map.png?token=no", "", 401},
	} {
		h := map[string]string{}
		if c.bearer != "" {
			h["Authorization"] = "Bearer " + c.bearer
		}
		if r := send(t, "GET", s.URL()+c.path, "", "", h); r.code != c.want {
			t.Errorf("GET %s with %q = %d, want %d", c.path, c.bearer, r.code, c.want)
		}
	}
	_, sdp := offer(t)
	if r := send(t, "POST", s.URL()+"whep/front", "application/sdp", sdp, nil); r.code != 401 {
		t.Errorf("WHEP without token: %d", r.code)
	}
	if r := send(
		t, "POST", s.URL()+"whep/front", "application/sdp", sdp, map[string]string{"Authorization": "Bearer " + cfg.Token},
	); r.code != 201 {
		t.Errorf("WHEP with token: %d %s", r.code, r.body)
	}
}

// Profiles need both a key in the configuration and the token.
func TestPprof(t *testing.T) {
	cfg := testConfig()
	cfg.Token = testToken
	for _, on := range []bool{false, true} {
		cfg.Pprof = on
		s := start(t, cfg, []schema.Camera{newCamera("front")})
		get := func(path string) reply {
			return send(t, "GET", s.URL()+path, "", "", map[string]string{"Authorization": "Bearer " + testToken})
		}
		if r := get("debug/pprof/goroutine?debug=1"); (r.code == 200 && strings.Contains(r.body, "goroutine profile")) != on {
			t.Errorf("pprof %v: %d %.80s", on, r.code, r.body)
		}
		if r := get("debug/pprof/cmdline"); r.code != 404 {
			t.Errorf("cmdline: %d", r.code)
		}
		if r := send(t, "GET", s.URL()+"debug/pprof/goroutine", "", "", nil); r.code != 401 {
			t.Errorf("without a token: %d", r.code)
		}
	}
}

func TestOrigins(t *testing.T) {
	cfg := testConfig()
	cfg.Origins = []string{"https://wall.example"}
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	for origin, want := range map[string]int{"https://wall.example": 200, "https://evil.example": 403} {
		h := map[string]string{"Origin": origin, "Sec-Fetch-Site": "cross-site"}
		r := send(t, "PATCH", s.URL()+"api/v1/cameras/front", "application/json", `{"threshold":3}`, h)
		if r.code != want || (r.header.Get("Access-Control-Allow-Origin") == origin) != (want == 200) {
			t.Errorf("PATCH from %s = %d %v, want %d", origin, r.code, r.header, want)
		}
	}
}

// Without a token, only requests that name us as their host are answered: a page of another site whose DNS name leads here
// gets nothing, also with insecure.
func TestHosts(t *testing.T) {
	local := []string{"127.0.0.1", "localhost:8080", "[::1]:8080"}
	network := append([]string{"192.0.2.7:8080", "[2001:db8::1]", "garage", "garage:8080"}, local...)
	foreign := []string{"evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080"}
	own := append([]string{"cams.example", "CAMS.example:443", "wall.example"}, local...)
	for name, c := range map[string]struct {
		edit  func(*preview.Config)
		yes   []string
		never []string
	}{
		"loopback":          {func(*preview.Config) {}, local, append(network[:2:2], foreign...)},
		"insecure loopback": {func(c *preview.Config) { c.Insecure = true }, local, append(network[:2:2], foreign...)},
		"insecure":          {func(c *preview.Config) { c.Insecure, c.Listen = true, ":0" }, network, foreign},
		"names": {func(c *preview.Config) {
			c.Hosts, c.Origins = []string{"cams.example"}, []string{"https://wall.example"}
		}, own, foreign},
		"a token is enough":  {func(c *preview.Config) { c.Token = testToken }, foreign, nil},
		"a token on network": {func(c *preview.Config) { c.Token, c.Listen = testToken, ":0" }, foreign, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig()
			c.edit(&cfg)
			s, err := preview.New(cfg, []schema.Camera{newCamera("front")})
			if err != nil {
				t.Fatal(err)
			}
			for want, hosts := range map[int][]string{200: c.yes, 403: c.never} {
				for _, host := range hosts {
					r := httptest.NewRequest(http.MethodGet, "/api/v1/info", nil)
					r.Host = host
					r.Header.Set("Authorization", "Bearer "+testToken)
					w := httptest.NewRecorder()
					s.Handler().ServeHTTP(w, r)
					if w.Code != want {
						t.Errorf("Host %s: %d %s, want %d", host, w.Code, w.Body, want)
					}
				}
			}
		})
	}
}

// The preflight request that a browser sends before a page of another origin may change something or send the token.
func TestPreflight(t *testing.T) {
	cfg := testConfig()
	cfg.Origins, cfg.Token = []string{"https://wall.example"}, "0123456789abcdef"
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	for origin, want := range map[string]string{"https://wall.example": "https://wall.example", "https://evil.example": ""} {
		r := send(t, "OPTIONS", s.URL()+"api/v1/cameras/front", "", "", map[string]string{
			"Origin": origin, "Sec-Fetch-Site": "cross-site", "Access-Control-Request-Method": "PATCH",
			"Access-Control-Request-Headers": "authorization,content-type",
		})
		if r.code != 204 || r.header.Get("Access-Control-Allow-Origin") != want ||
			!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "PATCH") ||
			!strings.Contains(r.header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("OPTIONS from %s = %d %v", origin, r.code, r.header)
		}
	}
}

// A client that announces a request and does not send it is answered and disconnected, with the token or without.
func TestSlowBody(t *testing.T) {
	cfg := testConfig()
	cfg.Token = "0123456789abcdef"
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	var clients sync.WaitGroup
	for auth, want := range map[string]string{"Authorization: Bearer " + cfg.Token: "408", "X-Nobody: 1": "401"} {
		clients.Go(func() {
			conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(s.URL(), "http:"), "/"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
			_, err = io.WriteString(conn, "PATCH /api/v1/cameras/front HTTP/1.1\r\nHost: localhost\r\n"+auth+
				"\r\nContent-Length: 100\r\n\r\n{")
			if err != nil {
				t.Error(err)
			}
			answer, err := io.ReadAll(conn) // to the end: the connection is closed
			if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 "+want) {
				t.Errorf("%s: %q, %v; want %s and the end", auth, answer, err, want)
			}
		})
	}
	clients.Wait()
}

func TestHealth(t *testing.T) {
	cam, reg := newCamera("front"), prometheus.NewRegistry()
	var broken, second error
	s := start(
		t, testConfig(), []schema.Camera{cam}, preview.WithRegistry(reg),
		preview.WithReady(func() error { return broken }), preview.WithReady(func() error { return second }),
	)
	check := func(path string, code int, want string) {
		t.Helper()
		if r := send(t, "GET", s.URL()+path, "", "", nil); r.code != code || !strings.Contains(r.body, want) {
			t.Errorf("%s = %d %q, want %d with %q", path, r.code, r.body, code, want)
		}
	}
	check("livez", 200, "ok")
	check("readyz", 200, "ok")
	cam.set(func(s *schema.Status) { s.State = schema.StateDown })
	check("readyz", 503, "no camera delivers frames")
	check("readyz?verbose", 503, `"cameras":{"front":"down"}`)
	check("livez", 200, "ok")
	cam.set(func(s *schema.Status) { s.State = schema.StateLive })
	broken = io.ErrUnexpectedEOF
	check("readyz", 503, "unexpected EOF")
	second = io.ErrClosedPipe
	check("readyz", 503, "unexpected EOF; io: read/write on closed pipe\n")
	check("readyz?verbose", 503, `"ready":false`)
	check("metrics", 200, "")
	r := send(t, "GET", s.URL(), "", "", nil)
	if !strings.Contains(r.body, "<title>oodcast</title>") ||
		!strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("page: %v", r.header)
	}
	if bytes.Contains([]byte(r.body), []byte("https://")) {
		t.Error("the page refers to something outside")
	}
}

// TestFramesGoBack stops a server and expects every frame back in the pool, including those that arrive too late.
func TestFramesGoBack(t *testing.T) {
	pool := ingest.NewPool(4)
	for _, listen := range []string{"127.0.0.1:0", "off"} {
		t.Run(listen, func(t *testing.T) {
			cfg := testConfig()
			cfg.Listen = listen
			var late *preview.Server
			t.Run("run", func(t *testing.T) {
				s := start(t, cfg, []schema.Camera{newCamera("front")})
				for _, name := range []string{"front", "front", "nobody"} {
					f := pool.TryGet(64, 48)
					f.Camera, f.Captured = name, time.Now()
					s.Frame(f)
				}
				late = s
			})
			f := pool.TryGet(64, 48)
			f.Camera = "front"
			late.Frame(f)
			if n := pool.InFlight(); n != 0 {
				t.Errorf("%d frames are missing", n)
			}
		})
	}
}

const tooUniform = "preview.token: too uniform, want one that is hard to guess: openssl rand -hex 16"

func TestConfigValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*preview.Config)
		want string
	}{
		{"default", func(*preview.Config) {}, ""},
		{"off", func(c *preview.Config) { c.Listen = "off" }, ""},
		{"no pass-through", func(c *preview.Config) { c.Passthrough = "off" }, ""},
		{"passthrough", func(c *preview.Config) { c.Passthrough = "h264" }, `preview.passthrough: got "h264", want auto or off`},
		{"token", func(c *preview.Config) { c.Listen, c.Token = "0.0.0.0:80", "0123456789abcdef" }, ""},
		{"insecure", func(c *preview.Config) { c.Listen, c.Insecure = ":80", true }, ""},
		{"ipv6", func(c *preview.Config) { c.Listen = "[::1]:8080" }, ""},
		{
			"open", func(c *preview.Config) { c.Listen = ":8080" },
			`preview.listen: ":8080" lets the network in: set preview.token, or preview.insecure: true`,
		},
		{
			"no port", func(c *preview.Config) { c.Listen = "localhost" },
			`preview.listen: got "localhost", want HOST:PORT or off`,
		},
		{"short", func(c *preview.Config) { c.Token = "abc" }, `preview.token: too short, want at least 16 characters`},
		{"one letter", func(c *preview.Config) { c.Token = "aaaaaaaaaaaaaaaa" }, tooUniform},
		{"two letters", func(c *preview.Config) { c.Token = "abaabbababaaabab" }, tooUniform},
		{"twice", func(c *preview.Config) { c.Token = "secret12secret12" }, tooUniform},
		{"line break", func(c *preview.Config) { c.Token = testToken + "\n" }, "preview.token: it has control characters, such as a line break at its end"},
		{"viewer", func(c *preview.Config) { c.Token, c.ViewerToken = testToken, "0123456789abcdef" }, ""},
		{
			"weak viewer", func(c *preview.Config) { c.Token, c.ViewerToken = testToken, "abc" },
			"preview.viewer_token: too short, want at least 16 characters",
		},
		{
			"viewer alone", func(c *preview.Config) { c.ViewerToken = testToken },
			"preview.viewer_token: needs preview.token, for those who may change settings",
		},
		{
			"the same", func(c *preview.Config) { c.Token, c.ViewerToken = testToken, testToken },
			"preview.viewer_token: got preview.token, want another one",
		},
		{
			"certificate alone", func(c *preview.Config) { c.CertFile = "cert.pem" },
			"preview.cert_file, preview.key_file: got one of them, want both or none",
		},
		{
			"hosts", func(c *preview.Config) { c.Hosts = []string{"oodcast.example", "https://a.example"} },
			`preview.hosts: got "https://a.example", want a name without a port`,
		},
		{
			"proxies", func(c *preview.Config) { c.Proxies = []string{"10.0.0.0/8", "::1", "nginx"} },
			`preview.proxies: got "nginx", want an IP address or a network (10.0.0.0/8)`,
		},
		{
			"connections", func(c *preview.Config) {
				c.Connections = preview.ConnectionsConfig{Max: 1, PerAddress: 20000, Idle: time.Millisecond}
			},
			"preview.connections.max: got \"1\", want 16..10000\npreview.connections.per_address: got \"20000\", want 4..10000\n" +
				"preview.connections.idle: got \"1ms\", want 1s to 1h",
		},
		{"width", func(c *preview.Config) { c.MaxWidth = 7 }, `preview.max_width: got "7", want 160..3840`},
		{
			"origin", func(c *preview.Config) { c.Origins = []string{"wall"} },
			`preview.origins: got "wall", want "https://host"`,
		},
		{
			"host", func(c *preview.Config) { c.WebRTC.AdditionalHosts = []string{"me"} },
			`preview.webrtc.additional_hosts: got "me", want an IP address`,
		},
		{
			"two", func(c *preview.Config) { c.MaxFPS, c.Bitrate = 0, 1 },
			"preview.max_fps: got \"0\", want 1..60\npreview.bitrate: got \"1\", want 100..20000",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := preview.DefaultConfig()
			c.edit(&cfg)
			err := cfg.Validate()
			if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && got != c.want {
				t.Errorf("Validate() = %q, want %q", got, c.want)
			}
		})
	}
}
