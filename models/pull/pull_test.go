package pull_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/oodcast/oodcast/models/pull"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A repository arrives with what imports read beside the weights, and stays for pulls without a network.
func TestPullHub(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	secret := func(c *pull.Config) { c.Token = "hf_secret" }
	p, err := h.puller(t, cache, secret).Pull(t.Context(), reference(t, "hf:"+repository))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.Files {
		names = append(names, filepath.Base(f))
	}
	if got, want := strings.Join(names, " "), "model.safetensors README.md config.json preprocessor_config.json"; got != want {
		t.Errorf("files %q, want %q", got, want)
	}
	body := h.files["model.safetensors"]
	if got, err := os.ReadFile(p.Path); err != nil || !bytes.Equal(got, body) || p.SHA256 != sha(body) {
		t.Errorf("%d bytes, %v, %q", len(got), err, p.SHA256)
	}
	if want := (pull.Card{Licence: "acme-1 (https://acme.example/licence)", Datasets: "cityscapes"}); p.Card != want {
		t.Errorf("card %+v, want %+v", p.Card, want)
	}
	if want := "hf:acme/net@" + commit + ":model.safetensors#sha256=" + sha(body); p.Pin != want || !strings.HasPrefix(p.Source, "hf:acme/net@"+commit) {
		t.Errorf("pin %q, want %q; source %q", p.Pin, want, p.Source)
	}
	for _, r := range h.requests("") {
		if toHub := "http://"+r.host == h.URL; (r.token != "") != toHub {
			t.Errorf("token %q to %s%s", r.token, r.host, r.path)
		}
	}
	before := len(h.requests(""))
	if _, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, p.Pin)); err != nil {
		t.Errorf("the pin: %v", err)
	}
	if got := len(h.requests("")); got != before {
		t.Errorf("a commit in the cache took %d requests", got-before)
	}
	h.Close()
	h.cdn.Close()
	if _, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, "hf:"+repository)); err == nil || !strings.Contains(err.Error(), "--offline takes") {
		t.Errorf("no hub: %v", err)
	}
	offline := func(c *pull.Config) { c.Offline = true }
	for _, s := range []string{"hf:" + repository, p.Pin, "hf:" + repository + "@main:config.json"} {
		if _, err := h.puller(t, cache, offline).Pull(t.Context(), reference(t, s)); err != nil {
			t.Errorf("offline: %v", err)
		}
	}
	for _, s := range []string{"hf:" + repository + "@v2", "hf:acme/other", "hf:" + repository + ":pytorch_model.bin", h.URL + "/x"} {
		if _, err := h.puller(t, cache, offline).Pull(t.Context(), reference(t, s)); err == nil || !strings.Contains(err.Error(), "not in the cache") {
			t.Errorf("offline %s: %v", s, err)
		}
	}
}

// A connection that is cut at any offset is resumed there.
func TestPullResumesEverywhere(t *testing.T) {
	h := newHub(t)
	h.files = map[string][]byte{"model.safetensors": weights(100)}
	body := h.files["model.safetensors"]
	for at := range body {
		once := false
		h.seen = nil
		h.back = func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
			if !once {
				once = true
				cut(w, body, at)
			}
			return false
		}
		p, err := h.puller(t, t.TempDir(), nil).Pull(t.Context(), reference(t, "hf:"+repository))
		if err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		if got, _ := os.ReadFile(p.Path); !bytes.Equal(got, body) {
			t.Fatalf("cut at %d: other bytes", at)
		}
		second := h.requests("/store/")[1]
		want := request{second.host, second.path, fmt.Sprintf("bytes=%d-", at), `"` + sha(body) + `"`, ""}
		if at == 0 {
			want.rng, want.ifRange = "", ""
		}
		if second != want {
			t.Errorf("cut at %d: then %+v, want %+v", at, second, want)
		}
	}
}

// What servers do wrong, and what comes of it: an error that says so and nothing in the cache, or the right file.
func TestPullFaults(t *testing.T) {
	type answer = func(w http.ResponseWriter, r *http.Request, body []byte) bool
	first := func(f answer) func() answer { // only the first request meets the fault
		return func() answer {
			n := 0
			return func(w http.ResponseWriter, r *http.Request, body []byte) bool { n++; return n == 1 && f(w, r, body) }
		}
	}
	always := func(f answer) func() answer { return func() answer { return f } }
	status := func(code int, header ...string) answer {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			return true
		}
	}
	wrong := func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
		_, _ = w.Write(append([]byte{body[0] ^ 1}, body[1:]...))
		return true
	}
	long := func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
		_ = http.NewResponseController(w).Flush() // no length
		_, _ = w.Write(append(bytes.Clone(body), 0))
		return true
	}
	lies := func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
		cut(w, append(bytes.Clone(body), body...), 10)
		return true
	}
	half := func(w http.ResponseWriter, _ *http.Request, body []byte) bool { cut(w, body, len(body)/2); return true }
	silent := func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body[:100])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
	halfThen := func(f answer) func() answer {
		return func() answer {
			n := 0
			return func(w http.ResponseWriter, r *http.Request, body []byte) bool {
				n++
				switch n {
				case 1:
					return half(w, r, body)
				case 2:
					return f(w, r, body)
				}
				return false
			}
		}
	}
	elsewhere := func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 5-%d/%d", len(body)-1, len(body)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(body[5:])
		return true
	}
	ignores := func(w http.ResponseWriter, _ *http.Request, body []byte) bool { _, _ = w.Write(body); return true }
	loop := func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		http.Redirect(w, r, r.URL.String(), http.StatusFound)
		return true
	}
	tests := []struct {
		name string
		back func() answer
		want string // "": it succeeds
		most int    // requests
	}{
		{"wrong bytes", always(wrong), "wrong checksum", 1},
		{"too long", always(long), "longer than", 1},
		{"length of another file", always(lies), "the listing says 4096", 1},
		{"half, always", always(half), "after 2 retries", 9},
		{"half, once", first(half), "", 2},
		{"half, then another part", halfThen(elsewhere), "", 3},
		{"half, then the whole", halfThen(ignores), "", 2},
		{"half, then 416", halfThen(status(416)), "", 3},
		{"half, then wrong bytes", halfThen(wrong), "wrong checksum", 3},
		{"silent, once", first(silent), "", 2},
		{"silent, always", always(silent), "sends nothing", 9},
		{"500, once", first(status(500)), "", 2},
		{"502, always", always(status(502)), "answers 502", 3},
		{"429", first(status(429, "Retry-After", "1")), "", 2},
		{"503", first(status(503, "Retry-After", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))), "", 2},
		{"401", always(status(401)), "refuses (401)", 1},
		{"403", always(status(403, "X-Error-Message", "Access is\nrestricted")), "refuses (403: Access is restricted)", 1},
		{"404", always(status(404)), "does not have it (404)", 1},
		{"418", always(status(418)), "answers 418", 1},
		{"loop", always(loop), "more than 10 redirects", 11},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, cache := newHub(t), t.TempDir()
			h.back = tt.back()
			start := time.Now()
			short := func(c *pull.Config) { c.Stall = 200 * time.Millisecond }
			p, err := h.puller(t, cache, short).Pull(t.Context(), reference(t, "hf:"+repository))
			if n := len(h.requests("/store/")); n > tt.most {
				t.Errorf("%d requests, want at most %d", n, tt.most)
			}
			if tt.name == "429" && time.Since(start) < time.Second {
				t.Errorf("came back after %v, though the server said a second", time.Since(start))
			}
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := os.ReadFile(p.Path); !bytes.Equal(got, h.files["model.safetensors"]) {
					t.Error("other bytes")
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %v, want %q in one line, without the signature", err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(cache, "hub", strings.ReplaceAll(strings.TrimPrefix(h.URL, "http://"), ":", "_"), repository, commit, "model.safetensors")); err == nil {
				t.Error("the file is in the cache")
			}
			h.back = nil
			if p, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, "hf:"+repository)); err != nil || p.SHA256 != sha(h.files["model.safetensors"]) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// What a listing may say that is refused.
func TestPullRefusesListings(t *testing.T) {
	replace := func(from, to string) func([]byte) []byte {
		return func(raw []byte) []byte { return bytes.ReplaceAll(raw, []byte(from), []byte(to)) }
	}
	tests := []struct {
		name, ref, want string
		listed          func([]byte) []byte
	}{
		{"no JSON", "hf:" + repository, "is it a hub", func([]byte) []byte { return []byte("<html>") }},
		{"other commit", "hf:" + repository + "@" + commit, "lists the commit", replace(commit, strings.Repeat("a", 40))},
		{"no commit", "hf:" + repository, "is it a hub", replace(commit, "../../../etc")},
		{"endless", "hf:" + repository, "as a list of files", func([]byte) []byte { return bytes.Repeat([]byte(" "), 17<<20) }},
		{"other checksum", "hf:" + repository, "wrong checksum", replace(sha(weights(4096)), strings.Repeat("b", 64))},
		{"other size", "hf:" + repository, "the listing says 4095", replace(`"size":4096`, `"size":4095`)},
		{"other blob", "hf:" + repository + ":config.json", "is git blob", replace(blob([]byte(`{"model_type":"segformer"}`)), strings.Repeat("c", 40))},
		{"huge", "hf:" + repository, "raise --max-size", replace(`"size":4096`, `"size":1125899906842624`)},
		{"path", "hf:" + repository + ":config.json", "the repository has no", replace("config.json", "../config.json")},
		{"no weights", "hf:" + repository, "no weights under a usual name", func([]byte) []byte { return []byte(`{"sha":"` + commit + `"}`) }},
		{"pin", "hf:" + repository + "#sha256=" + strings.Repeat("d", 64), "wrong checksum", nil},
		{"revision", "hf:" + repository + "@v9", "does not have it (404)", nil},
	}
	for _, tt := range tests {
		h := newHub(t)
		h.listed = tt.listed
		cfg := func(c *pull.Config) { c.MaxBytes = 1 << 40 }
		if tt.name == "huge" {
			h.front = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/model.safetensors") {
					w.Header().Set("Content-Length", "1125899906842624")
					w.WriteHeader(http.StatusOK)
					return true
				}
				return false
			}
		}
		_, err := h.puller(t, t.TempDir(), cfg).Pull(t.Context(), reference(t, tt.ref))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A disk that is too full is found before the first byte.
func TestPullDisk(t *testing.T) {
	h := newHub(t)
	h.listed = func(raw []byte) []byte {
		return bytes.ReplaceAll(raw, []byte(`"size":4096`), []byte(`"size":1125899906842624`))
	}
	h.front = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/model.safetensors") {
			w.Header().Set("Content-Length", "1125899906842624")
			w.WriteHeader(http.StatusOK)
			return true
		}
		return false
	}
	_, err := h.puller(t, t.TempDir(), func(c *pull.Config) { c.MaxBytes = 1 << 60 }).Pull(t.Context(), reference(t, "hf:"+repository))
	if err == nil || !strings.Contains(err.Error(), "the disk of") {
		t.Errorf("error %v", err)
	}
}

// Two pulls of the same thing at the same time download it once.
func TestPullTwice(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	var waits sync.Map
	var all sync.WaitGroup
	reached, release := make(chan bool, 1), make(chan bool)
	h.back = func(http.ResponseWriter, *http.Request, []byte) bool {
		reached <- true
		<-release
		return false
	}
	try := func(note func(string)) {
		defer all.Done()
		if _, err := h.puller(t, cache, func(c *pull.Config) { c.Note = note }).Pull(t.Context(), reference(t, "hf:"+repository)); err != nil {
			t.Error(err)
		}
	}
	all.Add(2)
	go try(nil)
	<-reached
	waiting := make(chan bool)
	go try(func(line string) { waits.Store(line, true); close(waiting) })
	<-waiting
	close(release)
	all.Wait()
	if n := len(h.requests("/store/")); n != 1 {
		t.Errorf("the weights were asked for %d times", n)
	}
	if _, ok := waits.Load("waiting for another process that pulls the same"); !ok {
		t.Error("the second pull did not say that it waits")
	}
}

// A pull that is interrupted leaves what another one, in another process, resumes; a damaged part is thrown away.
func TestPullInterrupted(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		h, cache := newHub(t), t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		h.back = func(w http.ResponseWriter, r *http.Request, body []byte) bool {
			w.Header().Set("ETag", `"`+sha(body)+`"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			_, _ = w.Write(body[:1000])
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		}
		progress := func(c *pull.Config) { c.Progress = func(string, int64, int64) { cancel() } }
		if _, err := h.puller(t, cache, progress).Pull(ctx, reference(t, "hf:"+repository)); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v", err)
		}
		parts, _ := filepath.Glob(filepath.Join(cache, "hub", "*", repository, commit, "*.part"))
		if len(parts) != 1 {
			t.Fatalf("parts %q", parts)
		}
		if damaged {
			if err := os.WriteFile(parts[0], make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		h.back = nil
		p, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, "hf:"+repository))
		if err != nil || p.SHA256 != sha(h.files["model.safetensors"]) {
			t.Fatalf("resumed: %v", err)
		}
		if got := h.requests("/store/")[1].rng; got != "bytes=1000-" {
			t.Errorf("resumed with %q", got)
		}
		if got, _ := filepath.Glob(parts[0] + "*"); len(got) > 0 {
			t.Errorf("left %q", got)
		}
	}
}

// A file that was damaged in the cache is downloaded again.
func TestPullDamagedCache(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	p, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, "hf:"+repository))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		raw[0] ^= 1
		if err := os.WriteFile(f, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, "hf:"+repository))
	if err != nil || again.SHA256 != p.SHA256 || again.Card != p.Card {
		t.Errorf("%+v, %v", again, err)
	}
}

// Shards come with their index; an index cannot name files elsewhere.
func TestPullShards(t *testing.T) {
	h := newHub(t)
	delete(h.files, "model.safetensors")
	h.files["model.safetensors.index.json"] = []byte(`{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}`)
	h.files["model-1.safetensors"], h.files["model-2.safetensors"] = weights(10), weights(20)
	h.large["model-1.safetensors"] = true
	p, err := h.puller(t, t.TempDir(), nil).Pull(t.Context(), reference(t, "hf:"+repository))
	if err != nil || filepath.Base(p.Path) != "model.safetensors.index.json" || len(p.Files) != 6 {
		t.Fatalf("%+v, %v", p, err)
	}
	h.files["model.safetensors.index.json"] = []byte(`{"weight_map":{"a":"../../../../x"}}`)
	if _, err := h.puller(t, t.TempDir(), nil).Pull(t.Context(), reference(t, "hf:"+repository)); err == nil || !strings.Contains(err.Error(), "outside its folder") {
		t.Errorf("error %v", err)
	}
}

// A mirror that lists names alone, below a path, without ranges or entity tags.
func TestPullPoorMirror(t *testing.T) {
	h := newHub(t)
	h.listed = func([]byte) []byte {
		return []byte(`{"sha":"` + commit + `","siblings":[{"rfilename":"model.safetensors"},{"rfilename":"README.md"}]}`)
	}
	mirror := httptest.NewServer(http.StripPrefix("/mirror", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api") {
			h.serve(w, r)
			return
		}
		_, _ = w.Write(h.files[filepath.Base(r.URL.Path)])
	})))
	defer mirror.Close()
	cache := t.TempDir()
	cfg := func(c *pull.Config) { c.Endpoint = mirror.URL + "/mirror/" }
	for range 2 {
		p, err := h.puller(t, cache, cfg).Pull(t.Context(), reference(t, "hf:"+repository))
		if err != nil || p.SHA256 != sha(h.files["model.safetensors"]) || !strings.Contains(p.Source, " from 127.0.0.1") {
			t.Fatalf("%+v, %v", p, err)
		}
	}
}

func TestPullAddress(t *testing.T) {
	h, cache := newHub(t), t.TempDir()
	body := h.files["model.safetensors"]
	address := h.cdn.URL + "/store/model.safetensors?key=secret"
	p, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, address))
	if err != nil || p.SHA256 != sha(body) || filepath.Base(p.Path) != "model.safetensors" || strings.Contains(p.Source, "secret") {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, address)); err != nil || len(h.requests("/store/")) != 1 {
		t.Errorf("from the cache: %v, %d requests", err, len(h.requests("/store/")))
	}
	if _, err := h.puller(t, cache, nil).Pull(t.Context(), reference(t, address+"#sha256="+strings.Repeat("0", 64))); !errors.Is(err, pull.ErrChecksum) {
		t.Errorf("another pin: %v", err)
	}
	if got, err := os.ReadFile(p.Path); err != nil || !bytes.Equal(got, body) {
		t.Errorf("a wrong pin has damaged the cache: %v", err)
	}
	if _, err := h.puller(t, t.TempDir(), func(c *pull.Config) { c.MaxBytes = 1000 }).Pull(t.Context(), reference(t, address)); err == nil || !strings.Contains(err.Error(), "--max-size") || strings.Contains(err.Error(), "secret") {
		t.Errorf("limit: %v", err)
	}
}

// A redirect cannot lead from https to http.
func TestPullDowngrade(t *testing.T) {
	h := newHub(t)
	secure := httptest.NewTLSServer(http.RedirectHandler(h.cdn.URL+"/store/model.safetensors", http.StatusFound))
	defer secure.Close()
	defer pull.TrustForTest(secure.Certificate())()
	_, err := h.puller(t, t.TempDir(), nil).Pull(t.Context(), reference(t, secure.URL+"/x.bin"))
	if err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("error %v", err)
	}
}

func TestPullFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w.pth")
	if err := errors.Join(os.WriteFile(path, weights(9), 0o600), os.WriteFile(filepath.Join(dir, "README.md"), []byte(card), 0o600),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p, err := pull.New(pull.Config{Cache: dir})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Pull(t.Context(), reference(t, "file:"+path+"#sha256="+sha(weights(9))))
	if err != nil || got.Path != path || got.Card.Datasets != "cityscapes" {
		t.Errorf("%+v, %v", got, err)
	}
	for ref, want := range map[string]string{
		path + "#sha256=" + strings.Repeat("1", 64): "wrong checksum", filepath.Join(dir, "pipe"): "not a regular file",
		dir: "it is a folder", filepath.Join(dir, "none"): "no such file",
	} {
		if _, err := p.Pull(t.Context(), reference(t, "file:"+ref)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ref, err, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for want, cfg := range map[string]pull.Config{
		"no address":         {Cache: "x", Endpoint: "huggingface.co"},
		"unencrypted":        {Cache: "x", Endpoint: "http://mirror.example", Token: "hf_x"},
		"no token has":       {Cache: "x", Token: "hf_x\r\nHost: y"},
		"no folder":          {},
		"is no address such": {Cache: "x", Endpoint: "https://user:pass@mirror.example"},
	} {
		_, err := pull.New(cfg)
		if !errors.Is(err, pull.ErrReference) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hf_x") {
			t.Errorf("New() = %v, want %q", err, want)
		}
	}
}
