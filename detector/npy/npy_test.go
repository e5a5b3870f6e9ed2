package npy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/oodcast/oodcast/detector/npy"
)

// floats reads a float32 array.
func floats(raw []byte) (values []float32, width, height int, err error) {
	accept := func(w, h int) error {
		width, height = w, h
		return nil
	}
	err = npy.ReadRows(bytes.NewReader(raw), map[string]int{"<f4": 4}, accept, func(_ string, b []byte) error {
		for v := range slices.Chunk(b, 4) {
			values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(v)))
		}
		return nil
	})
	return values, width, height, err
}

func TestWriteFileReadsBack(t *testing.T) {
	path, want := filepath.Join(t.TempDir(), "a.npy"), []float32{1, 2, 3, -4, 5.5, float32(math.Inf(1))}
	if err := npy.WriteFile(path, want, 2, 3); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, w, h, err := floats(raw)
	if err != nil || w != 3 || h != 2 || !slices.Equal(got, want) {
		t.Errorf("read %v, %d×%d, %v; want %v, 3×2", got, w, h, err, want)
	}
	if data := 128; len(raw) != data+4*len(want) {
		t.Errorf("%d bytes, want a header of %d and four bytes per value", len(raw), data)
	}
}

// The number of maps is known at the end, and nothing is there before.
func TestWriterAppears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.npy")
	w, err := npy.Create(path, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][]float32{{1, 2}, {3, 4}, {5, 6}} {
		if err := w.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Append([]float32{7}); err == nil {
		t.Error("a map of another size: no error")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before Close: %v, want no file", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte("'shape': (3, 1, 2,)"); !bytes.Contains(raw, want) || len(raw) != 128+6*4 {
		t.Errorf("%d bytes with header %q, want %d and %q", len(raw), raw[:128], 128+6*4, want)
	}
}

func TestWriterDiscards(t *testing.T) {
	dir := t.TempDir()
	w, err := npy.Create(filepath.Join(dir, "a.npy"), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Discard(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v; want nothing", left, err)
	}
	if _, err := npy.Create(filepath.Join(dir, "none", "a.npy"), 1, 1); err == nil {
		t.Error("a folder that does not exist: no error")
	}
}
