package ort

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRuntimeIsSharedAndReopens(t *testing.T) {
	for range 3 { // unloading and loading again must work
		a, err := Open("")
		if err != nil {
			t.Fatal(err)
		}
		b, err := Open("")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil { // a second Close must not end the use by b
			t.Error(err)
		}
		s := session(t, chain(t, 4, 1), Options{Threads: 1})
		out, err := s.Eval(map[string]*Tensor{"x": tensor(t, []float32{1, 2, 3, 4}, 1, 4)})
		if err != nil {
			t.Fatal(err)
		}
		if got := Data[float32](out["y"]); got[0] != 4 || got[1] != 1 {
			t.Errorf("y = %v, want [4 1 2 3]", got)
		}
		_ = out["y"].Close()
		_ = s.Close()
		if !strings.HasPrefix(b.Version(), "1.") {
			t.Errorf("Version() = %q", b.Version())
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefusesASecondLibrary(t *testing.T) {
	open(t)
	if _, err := Open("/nowhere/libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), "already uses") {
		t.Errorf("Open() = %v, want an error that says a library is in use", err)
	}
}

func TestOpenWithoutLibrary(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/nowhere/libonnxruntime.so", text} {
		_, err := Open(path)
		mustBe(t, err, ErrNotInstalled)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error has several lines: %q", err)
		}
	}
	t.Setenv(EnvLibrary, "/nowhere")
	_, err := Find()
	mustBe(t, err, ErrNotInstalled)
	t.Setenv(EnvLibrary, t.TempDir())
	_, err = Find()
	mustBe(t, err, ErrNotInstalled)
	t.Setenv(EnvLibrary, filepath.Dir(text))
	if got, err := Find(); err != nil || got != text {
		t.Errorf("Find() = %q, %v, want %q", got, err, text)
	}
}

func TestLibraryInPrefersThePlainName(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"libonnxruntime.so.1", "libonnxruntime.so.1.30.0", "libonnxruntime.so"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok := libraryIn(dir); !ok || filepath.Base(got) != "libonnxruntime.so" {
		t.Errorf("libraryIn() = %q, %v", got, ok)
	}
	if _, ok := libraryIn(t.TempDir()); ok {
		t.Error("libraryIn() of an empty folder finds something")
	}
}
