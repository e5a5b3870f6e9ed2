package pull_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/oodcast/oodcast/models/pull"
)

func TestParse(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for in, want := range map[string]string{
		"hf:nvidia/mit-b0":                      "hf:nvidia/mit-b0@main",
		"hf:a/b@refs/pr/1:onnx/model.onnx":      "hf:a/b@refs/pr/1:onnx/model.onnx",
		"hf:a/b#sha256=" + strings.ToUpper(sum): "hf:a/b@main#sha256=" + sum,
		"https://user:pw@h.example/a.pth":       "https://user:xxxxx@h.example/a.pth",
		"http://localhost:80/x":                 "http://localhost:80/x",
		"http://h.example/x#sha256=" + sum:      "http://h.example/x#sha256=" + sum,
		"file:///tmp/x":                         "file:/tmp/x",
		"dinov2-s":                              "hf:facebook/dinov2-small@main",
	} {
		if r, err := pull.Parse(in); err != nil || r.String() != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", in, r, err, want)
		}
	}
	for in, want := range map[string]string{
		"": "begins with", "x": "begins with", "hf:x": "OWNER/REPO", "hf:../x": "OWNER/REPO", "hf:a/..": "OWNER/REPO", "hf:a/b--c": "OWNER/REPO",
		"hf:a/b@": "after @", "hf:a/b@../x": "after @", "hf:a/b:../../x": "second colon", "hf:a/b:/etc/passwd": "second colon",
		"hf:a/b:c\x00d": "second colon", "hf:a/b#md5=1": "sha256=", "hf:a/b#sha256=12": "64 hexadecimal", "http://h.example/x": "must be pinned",
		"https:///x": "no host", "file:": "a path", "ftp://h/x": "begins with", "dood-setr-l-ade": "several files", "efficientnet-lite0": "make deps-lite",
	} {
		if r, err := pull.Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %q, %v, want %q", in, r, err, want)
		}
	}
}

// Every network of the catalogue can be pulled, and says what a user needs to choose it.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range pull.Catalogue() {
		if seen[n.Name] || n.Megabytes == 0 || n.Licence == "" || n.Purpose == "" || (n.Fetch == "") != (len(n.References) > 0) {
			t.Errorf("%+v", n)
		}
		seen[n.Name] = true
		for _, s := range n.References {
			if _, err := pull.Parse(s); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestParseCard(t *testing.T) {
	for in, want := range map[string]pull.Card{
		card:                                    {Licence: "acme-1 (https://acme.example/licence)", Datasets: "cityscapes"},
		"---\r\nlicense: mit\r\n---\r\n":        {Licence: "mit"},
		"---\nlicense:\n- mit\n- bsd\n---\n":    {Licence: "mit, bsd"},
		"---\nlicense: {a: 1}\n---\n":           {},
		"---\nlicense: [[[\n---\n":              {},
		"# no front matter\n---\nlicense: x\n":  {},
		"---\nlicense: mit\n":                   {},
		"---\nlicense: \"a\\nb\\e[31m|c\"\n---": {Licence: "a b [31m c"},
	} {
		if got := pull.ParseCard([]byte(in)); got != want {
			t.Errorf("ParseCard(%q) = %+v, want %+v", in, got, want)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"hf:a/b@v1:c/d.bin#sha256=" + strings.Repeat("0", 64), "https://h/x?y", "file:x", "dinov2-s", "http://[::1]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := pull.Parse(s)
		if err != nil {
			return
		}
		for _, name := range []string{r.File, r.Repo, r.Revision} {
			if strings.HasPrefix(name, "/") || strings.Contains("/"+name+"/", "/../") {
				t.Errorf("Parse(%q) = %+v leaves the cache", s, r)
			}
		}
		if r.URL != nil && r.URL.User == nil {
			if again, err := pull.Parse(r.String()); err != nil || again.String() != r.String() {
				t.Errorf("Parse(%q) = %q, again %q, %v", s, r, again, err)
			}
		}
	})
}

func FuzzParseCard(f *testing.F) {
	f.Add([]byte(card))
	f.Add([]byte("---\na: &a [x]\nb: &b [*a,*a]\nlicense: [*b,*b]\n---\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := pull.ParseCard(raw)
		for _, s := range []string{c.Licence, c.Datasets} {
			if len([]rune(s)) > 400 || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q", s)
			}
		}
	})
}
