package preview

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"time"
)

// The page needs no build step: the browser loads these files as they are.
//
//go:embed page
var pageFiles embed.FS

// pagePolicy allows our own files, pictures and API: no inline script or style, and no other site.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// pageTypes holds the types of the page's files. The system's table may lack one, and because of nosniff a browser would
// then refuse the file.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// servePage serves page.html.
func servePage(w http.ResponseWriter, r *http.Request) { servePageFile(w, r, "page.html") }

// servePagePart serves a style sheet, a module or the icon of the page.
func servePagePart(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	if path.Ext(name) == ".html" { // its links are relative to the root
		http.NotFound(w, r)
		return
	}
	servePageFile(w, r, name)
}

// servePageFile serves a file with a tag of its content. Browsers ask each time whether the tag has changed, so an
// upgrade shows at once.
func servePageFile(w http.ResponseWriter, r *http.Request, name string) {
	body, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", pageTypes[path.Ext(name)])
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Security-Policy", pagePolicy)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
