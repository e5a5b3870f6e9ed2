package preview_test

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/publish/schema"
)

// The links of the page, and the imports of a module.
var (
	pageLinks   = regexp.MustCompile(`(?:src|href)="(page/[^"]+)"`)
	moduleLinks = regexp.MustCompile(`(?m)^import (?:.* from )?"\./([^"]+)";`)
)

// The page and its parts load without a token, from this server alone, and need nothing that the page's policy forbids. An
// upgrade shows at once.
func TestPageParts(t *testing.T) {
	cfg := testConfig()
	cfg.Token = testToken
	s := start(t, cfg, []schema.Camera{newCamera("front")})
	page := send(t, "GET", s.URL(), "", "", nil)
	if page.code != http.StatusOK || page.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("page: %d %v", page.code, page.header)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "script-src 'self'; style-src 'self';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "data:") {
		t.Errorf("policy %q", policy)
	}
	if inline := regexp.MustCompile(`<style|<script>|\s(style|on\w+)="`).FindString(page.body); inline != "" {
		t.Errorf("the page has %q, which its policy forbids", inline)
	}
	var parts []string
	for _, link := range pageLinks.FindAllStringSubmatch(page.body, -1) {
		parts = append(parts, link[1])
	}
	for i := 0; i < len(parts); i++ { // parts grows
		r := send(t, "GET", s.URL()+parts[i], "", "", nil)
		want := map[string]string{
			".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
		}[path.Ext(parts[i])]
		if r.code != http.StatusOK || r.header.Get("Content-Type") != want || len(r.body) == 0 {
			t.Errorf("%s: %d %v", parts[i], r.code, r.header)
		}
		outside := strings.ReplaceAll(r.body, `xmlns="http://www.w3.org/2000/svg"`, "")
		if strings.Contains(outside, "://") {
			t.Errorf("%s refers to something outside", parts[i])
		}
		for _, link := range moduleLinks.FindAllStringSubmatch(r.body, -1) {
			if part := "page/" + link[1]; !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		}
	}
	if len(parts) < 10 {
		t.Errorf("the page loads %v", parts)
	}
	for _, part := range append(parts, "") { // a browser asks whether its copy is still good
		first := send(t, "GET", s.URL()+part, "", "", nil)
		h := map[string]string{"If-None-Match": first.header.Get("ETag")}
		if r := send(t, "GET", s.URL()+part, "", "", h); r.code != http.StatusNotModified || r.body != "" {
			t.Errorf("%q again: %d with %d bytes, want 304", part, r.code, len(r.body))
		}
		h["If-None-Match"] = `"of the version before"`
		r := send(t, "GET", s.URL()+part, "", "", h)
		if r.code != http.StatusOK || r.body != first.body || r.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%q after an upgrade: %d %v", part, r.code, r.header)
		}
	}
	for _, part := range []string{"page/page.html", "page/nothing.js", "page/", "page/..%2fpage.go"} {
		if r := send(t, "GET", s.URL()+part, "", "", map[string]string{"Authorization": "Bearer " + testToken}); r.code != 404 {
			t.Errorf("%s: %d, want 404", part, r.code)
		}
	}
}
