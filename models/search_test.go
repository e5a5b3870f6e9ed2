package models

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// install writes a bundle of the given version to folder/name.
func install(t *testing.T, folder, name, version string) {
	t.Helper()
	m, files := complete(t)
	m.Name, m.Version = name, version
	if err := Write(filepath.Join(folder, name), m, files); err != nil {
		t.Fatal(err)
	}
}

// beside returns the folder of bundles beside this test's program, which it removes at the end.
func beside(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(program), "bundles")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// The folders of the variable come first, then those beside the program, then what is inside it, then paths.
func TestSearchOrder(t *testing.T) {
	first, second, here := t.TempDir(), t.TempDir(), t.TempDir()
	t.Chdir(here)
	t.Setenv(EnvFolders, strings.Join([]string{first, "", filepath.Join(first, "none"), second}, string(os.PathListSeparator)))
	install(t, first, "a", "first")
	for i, folder := range []string{second, beside(t), here} {
		for _, name := range []string{"a", "b", "c", "d"}[:2+i] {
			install(t, folder, name, []string{"second", "beside", "here"}[i])
		}
	}
	install(t, here, Embedded, "here")
	for name, want := range map[string]string{"a": "first", "b": "second", "c": "beside", "d": "here", "./a": "here", Embedded: "2"} {
		b, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if b.Version != want || b.Substitute != "" {
			t.Errorf("Open(%q) is that of %q, want %q; substitute %q", name, b.Version, want, b.Substitute)
		}
	}
	install(t, second, Embedded, "newer")
	if b, err := Open(Embedded); err != nil || b.Version != "newer" {
		t.Errorf("an installed bundle gives way to the embedded one: %v", err)
	}
	want := []Found{
		{"a", filepath.Join(first, "a")},
		{"b", filepath.Join(second, "b")},
		{"c", filepath.Join(beside(t), "c")},
		{Embedded, filepath.Join(second, Embedded)},
	}
	if got := List(); !slices.Equal(got, want) {
		t.Errorf("List() = %v, want %v", got, want)
	}
}

// Only the default bundle has a substitute, and a folder of its name in the working directory is none.
func TestSubstitute(t *testing.T) {
	folder, here := t.TempDir(), t.TempDir()
	t.Chdir(here)
	t.Setenv(EnvFolders, folder)
	install(t, here, Default, "here")
	b, err := Open(Default)
	if err != nil || b.Name != Embedded || b.Dir != "" || b.Path() != Embedded {
		t.Fatalf("Open(%q) = %+v, %v", Default, b, err)
	}
	for _, part := range []string{Default + " is not installed", Embedded + " serves in its place", "make deps", EnvFolders, folder} {
		if !strings.Contains(b.Substitute, part) {
			t.Errorf("Substitute = %q, want %q in it", b.Substitute, part)
		}
	}
	for _, name := range []string{Large, General} {
		_, err := Open(name)
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "not installed; make deps") || !strings.Contains(err.Error(), folder) {
			t.Errorf("Open(%q): %v", name, err)
		}
	}
	install(t, here, Large, "here")
	if b, err := Open(Large); err != nil || b.Version != "here" {
		t.Errorf("a folder of the working directory: %v", err)
	}
	install(t, folder, Default, "installed")
	if b, err = Open(Default); err != nil || b.Version != "installed" || b.Substitute != "" {
		t.Errorf("Open(%q) = %+v, %v", Default, b, err)
	}
	if err := os.Remove(filepath.Join(folder, Default, EncoderFile)); err != nil {
		t.Fatal(err)
	}
	if _, err = Open(Default); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), folder) {
		t.Errorf("a damaged bundle is passed over: %v", err)
	}
}
