package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/creack/pty"

	"github.com/oodcast/oodcast/models/pull"
)

// smallHub serves a folder by the paths of the hub, as the repository acme/net.
func smallHub(t *testing.T, folder string, card string) *httptest.Server {
	t.Helper()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	mux := http.NewServeMux()
	mux.HandleFunc("/api/models/acme/net/revision/main", func(w http.ResponseWriter, _ *http.Request) {
		files := []map[string]any{{"rfilename": "README.md"}}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			files = append(files, map[string]any{"rfilename": e.Name()})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": commit, "siblings": files})
	})
	mux.Handle("/acme/net/resolve/"+commit+"/", http.StripPrefix("/acme/net/resolve/"+commit, http.FileServer(http.Dir(folder))))
	mux.HandleFunc("/acme/net/resolve/"+commit+"/README.md", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(card)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// A network on the hub becomes a bundle in one command, with the licence of its card; a second time needs no network.
func TestModelsPullAndImport(t *testing.T) {
	hub := smallHub(t, filepath.Join("..", "..", "models", "importer", "testdata", "segformer"), "---\nlicense: mit\ndatasets: [cityscapes]\n---\n")
	t.Setenv("OODCAST_CACHE", t.TempDir())
	t.Setenv("HF_ENDPOINT", hub.URL)
	t.Setenv("HF_HOME", t.TempDir())
	code, stdout, stderr := oodcast(t, "models", "pull", "hf:acme/net")
	if code != exitDone || !strings.HasSuffix(stdout, "model.safetensors\n") || !strings.Contains(stderr, "licence mit") || strings.Contains(stderr, "\r") {
		t.Fatalf("exit %d, %q, %q", code, stdout, stderr)
	}
	for _, offline := range []string{"0", "1"} {
		t.Setenv("HF_HUB_OFFLINE", offline)
		dir := filepath.Join(t.TempDir(), "net")
		must(t, "models", "import", "segformer", "hf:acme/net", "--out", dir, "--size", "128x96")
		text := must(t, "models", "show", dir, "--file", "MODEL_CARD.md")
		for _, want := range []string{"Licence of the weights: mit.", "| source | hf:acme/net@0123456789abcdef", "| trained on | cityscapes |"} {
			if !strings.Contains(text, want) {
				t.Errorf("MODEL_CARD.md has no %q: %s", want, text)
			}
		}
		hub.Close()
	}
	for _, args := range [][]string{
		{"hf:acme"},
		{"hf:acme/net", "--sha256", "12"},
		{"hf:acme/net", "--hub", "x"},
		{"hf:acme/net", "--max-size", "0"},
		{"hf:acme/net", "--token-file", "/none"},
	} {
		if code, _, stderr := oodcast(t, append([]string{"models", "pull"}, args...)...); code != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, %q", args, code, stderr)
		}
	}
	code, _, stderr = oodcast(t, "models", "pull", "hf:acme/net", "--sha256", strings.Repeat("0", 64))
	if code != exitFailed || !strings.Contains(stderr, "not in the cache") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// Every command that the list of published networks shows is one that this program has.
func TestModelsListAvailable(t *testing.T) {
	var list []pull.Network
	if err := json.Unmarshal([]byte(must(t, "models", "list", "--available", "--json", "-")), &list); err != nil || len(list) < 12 {
		t.Fatalf("%d networks, %v", len(list), err)
	}
	text := must(t, "models", "list", "--available")
	for _, n := range list {
		command := n.Command(n.Name)
		if !strings.Contains(text, command) || !strings.Contains(text, n.Licence) {
			t.Errorf("the list lacks %q or its licence", command)
		}
		parser, err := kong.New(&cli{}, kong.Vars(fitVars()), kong.Vars(evalVars()))
		if err != nil {
			t.Fatal(err)
		}
		_, args, _ := strings.Cut(command, "oodcast ")
		if _, err := parser.Parse(strings.Fields(args)); err != nil {
			t.Errorf("%q: %v", command, err)
		}
	}
}

// On a terminal, a line shows how far a download is, and is gone afterwards.
func TestModelsPullOnATerminal(t *testing.T) {
	hub := smallHub(t, filepath.Join("..", "..", "models", "importer", "testdata", "segformer"), "---\nlicense: mit\n---\n")
	cmd := command(t, "models", "pull", "hf:acme/net", "--hub", hub.URL, "--cache", t.TempDir())
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "HF_TOKEN=", "HF_HOME="+t.TempDir())
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 140})
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	screen, _ := io.ReadAll(tty) // ends with an error when the program ends
	if err := cmd.Wait(); err != nil || !strings.Contains(string(screen), "\rmodel.safetensors ") || !strings.Contains(string(screen), "%") ||
		!strings.Contains(string(screen), "licence mit") {
		t.Errorf("%v, %q", err, screen)
	}
}
