package pull_test

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oodcast/oodcast/models/pull"
)

const (
	repository = "acme/net"
	commit     = "0123456789abcdef0123456789abcdef01234567"
	card       = "---\nlicense: other\nlicense_name: acme-1\nlicense_link: https://acme.example/licence\ndatasets:\n- cityscapes\n---\n# A network\n"
)

// request is what a server has seen.
type request struct{ host, path, rng, ifRange, token string }

// hub is an HTTP server with the paths of the hub, and a second one where the large files are, as on the hub.
type hub struct {
	*httptest.Server
	cdn    *httptest.Server
	files  map[string][]byte
	large  map[string]bool // in the large-file store
	listed func(raw []byte) []byte
	front  func(w http.ResponseWriter, r *http.Request) bool              // answers instead of the hub, if it wants to
	back   func(w http.ResponseWriter, r *http.Request, body []byte) bool // and instead of the other server

	mu   sync.Mutex
	seen []request
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{
		files: map[string][]byte{
			"README.md": []byte(card), "config.json": []byte(`{"model_type":"segformer"}`), "model.safetensors": weights(4096),
			".gitattributes": []byte("x"), "pytorch_model.bin": []byte("older"), "preprocessor_config.json": []byte("{}"),
		},
		large: map[string]bool{"model.safetensors": true},
	}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	h.cdn = httptest.NewServer(http.HandlerFunc(h.store))
	t.Cleanup(h.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

// weights returns n bytes that are all different from their neighbours.
func weights(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8)
	}
	return b
}

func sha(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func blob(b []byte) string {
	s := sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(b)), b...))
	return hex.EncodeToString(s[:])
}

func (h *hub) note(r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, request{r.Host, r.URL.Path, r.Header.Get("Range"), r.Header.Get("If-Range"), r.Header.Get("Authorization")})
}

// requests returns what both servers have seen of a path, and forgets nothing.
func (h *hub) requests(path string) (found []request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.seen {
		if strings.Contains(r.path, path) {
			found = append(found, r)
		}
	}
	return found
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	if h.front != nil && h.front(w, r) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	w.Header().Set("X-Repo-Commit", commit)
	if rest, ok := strings.CutPrefix(path, "api/models/"+repository+"/revision/"); ok {
		if rest != "main" && rest != commit {
			w.Header().Set("X-Error-Code", "RevisionNotFound")
			http.Error(w, "{}", http.StatusNotFound)
			return
		}
		_, _ = w.Write(h.list())
		return
	}
	path = strings.Replace(path, "/resolve/main/", "/resolve/"+commit+"/", 1)
	name, ok := strings.CutPrefix(path, repository+"/resolve/"+commit+"/")
	body, there := h.files[name]
	switch {
	case !ok || !there:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.Header().Set("X-Error-Message", "Entry\nnot found")
		http.Error(w, "", http.StatusNotFound)
	case h.large[name]:
		w.Header().Set("X-Linked-Etag", `"`+sha(body)+`"`)
		w.Header().Set("X-Linked-Size", fmt.Sprint(len(body)))
		http.Redirect(w, r, h.cdn.URL+"/store/"+name+"?Signature=secret", http.StatusFound)
	default:
		w.Header().Set("ETag", `"`+blob(body)+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(body)))
	}
}

func (h *hub) store(w http.ResponseWriter, r *http.Request) {
	h.note(r)
	body := h.files[strings.TrimPrefix(r.URL.Path, "/store/")]
	if h.back != nil && h.back(w, r, body) {
		return
	}
	w.Header().Set("ETag", `"`+sha(body)+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(body)))
}

// list returns the repository as the hub's API describes it.
func (h *hub) list() []byte {
	type lfs struct {
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
		Text   int    `json:"pointerSize"`
	}
	type file struct {
		Name string `json:"rfilename"`
		Size int    `json:"size"`
		Blob string `json:"blobId"`
		LFS  *lfs   `json:"lfs,omitempty"`
	}
	var files []file
	for name, body := range h.files {
		f := file{Name: name, Size: len(body), Blob: blob(body)}
		if h.large[name] {
			f.LFS, f.Blob = &lfs{sha(body), len(body), 130}, blob([]byte("pointer"))
		}
		files = append(files, f)
	}
	raw, err := json.Marshal(map[string]any{"id": repository, "sha": commit, "siblings": files})
	if err != nil {
		panic(err)
	}
	if h.listed != nil {
		raw = h.listed(raw)
	}
	return raw
}

// cut sends the beginning of a body that it announces whole, and closes the connection.
func cut(w http.ResponseWriter, body []byte, n int) {
	w.Header().Set("ETag", `"`+sha(body)+`"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body[:n])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// puller returns a Puller for the hub with a short patience.
func (h *hub) puller(t *testing.T, cache string, edit func(*pull.Config)) *pull.Puller {
	t.Helper()
	cfg := pull.Config{Cache: cache, Endpoint: h.URL, Pause: time.Millisecond, Retries: 2}
	if edit != nil {
		edit(&cfg)
	}
	p, err := pull.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reference(t *testing.T, s string) pull.Reference {
	t.Helper()
	r, err := pull.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
