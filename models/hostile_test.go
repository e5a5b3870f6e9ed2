package models

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Manifests of strangers are refused, or read, in bounded memory and time.
func TestHostileManifests(t *testing.T) {
	m := manifest()
	m.Provenance = nil
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(raw)
	under := func(provenance string) string { return good + "provenance:\n" + provenance }
	laughs := " a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n"
	for i := range 20 {
		laughs += fmt.Sprintf(" a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 8), i)
	}
	var keys strings.Builder
	for i := 0; keys.Len() < maxManifest-len(good)-100; i++ {
		fmt.Fprintf(&keys, " %x:\n", i)
	}
	for name, tt := range map[string]struct {
		raw  string
		want string // "": it may be read
	}{
		"laughs":       {under(laughs), "excessive aliasing"},
		"cycle":        {under(" a: &a [*a]\n"), "contains itself"},
		"nested":       {under(" a: " + strings.Repeat("[", 100_000)), "depth"},
		"indented":     {under(" a:\n  " + strings.Repeat("- ", 100_000)), "depth"},
		"keys":         {under(keys.String()), "at most 1000 are read"},
		"twice":        {under(" a: 1\n a: 2\n"), "already defined"},
		"top twice":    {good + "name: other\n", "already"},
		"large":        {good + strings.Repeat("#", maxManifest), "at most 262144 are read"},
		"path":         {under("files:\n ../x: {sha256: \"\", bytes: 1}\n"), ""},
		"file path":    {good[:strings.Index(good, "files:")] + "files:\n  ../x: {sha256: \"" + strings.Repeat("0", 64) + "\", bytes: 1}\n", "a plain file name"},
		"not a number": {strings.Replace(good, "lse_weight: 1", "lse_weight: .nan", 1), "lse_weight"},
		"infinite":     {strings.Replace(good, "lse_weight: 1", "lse_weight: .inf", 1), "lse_weight"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := ParseManifest([]byte(tt.raw))
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if used > 200<<20 || took > 10*time.Second {
			t.Errorf("%s: allocated %d MB in %v", name, used>>20, took)
		}
		t.Logf("%-12s %6.1f MB in %v", name, float64(used)/1e6, took.Round(time.Millisecond))
	}
}

// Files of a bundle that are no files, or another size than the manifest says, are refused at once.
func TestHostileBundleFiles(t *testing.T) {
	for name, change := range map[string]struct {
		want string
		to   func(path string) error
	}{
		"pipe":   {"not a regular file", func(p string) error { return syscall.Mkfifo(p, 0o600) }},
		"folder": {"it is a folder", func(p string) error { return os.Mkdir(p, 0o700) }},
		"device": {"escapes", func(p string) error { return os.Symlink("/dev/zero", p) }},
		"loop":   {"too many levels", func(p string) error { return os.Symlink(p, p) }},
		"sparse": {"1099511627776 bytes", func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Truncate(p, 1<<40)) }},
	} {
		for _, file := range []string{ManifestFile, EncoderFile} {
			dir := filepath.Join(t.TempDir(), "b")
			m, files := complete(t)
			if err := Write(dir, m, files); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, file)
			if err := errors.Join(os.Remove(path), change.to(path)); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir)
			want := change.want
			if name == "loop" {
				want = ""
			}
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s as %s: %v, want %q", name, file, err, change.want)
			}
		}
	}
}
