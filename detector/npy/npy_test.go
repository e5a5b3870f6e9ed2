package npy_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// Arrays of every kind that holds one map of numbers, as numpy.save wrote them (NumPy 2.4).
func TestNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		typ, order, shape, data string // data in hexadecimal
		want                    []float32
	}{
		"float16":             {"<f2", "False", "(2, 3)", "0000003c0040004200c44056", []float32{0, 1, 2, 3, -4, 100}},
		"big-endian float16":  {">f2", "False", "(2, 3)", "00003c0040004200c4005640", []float32{0, 1, 2, 3, -4, 100}},
		"rare float16":        {"<f2", "False", "(1, 7)", "01000080ff7b662e007c00fcfc00", []float32{5.9604645e-08, 0, 65504, 0.099975586, float32(math.Inf(1)), float32(math.Inf(-1)), 252.0 / (1 << 24)}},
		"Fortran order":       {"<f4", "True", "(2, 3)", "00000000000040400000803f000080c0000000400000c842", []float32{0, 1, 2, 3, -4, 100}},
		"one map of several":  {"<f4", "False", "(1, 2, 3)", "000000000000803f0000004000004040000080c00000c842", []float32{0, 1, 2, 3, -4, 100}},
		"one channel, double": {"<f8", "True", "(2, 3, 1)", "00000000000000000000000000000840000000000000f03f00000000000010c000000000000000400000000000005940", []float32{0, 1, 2, 3, -4, 100}},
		"bytes":               {"|u1", "False", "(2, 3)", "0001020304ff", []float32{0, 1, 2, 3, 4, 255}},
		"signed bytes":        {"|i1", "False", "(1, 2)", "80ff", []float32{-128, -1}},
		"signed 16 bits":      {">i2", "False", "(1, 2)", "8000ffff", []float32{-32768, -1}},
		"32 bits":             {"<u4", "False", "(1, 2)", "00000080ffffffff", []float32{1 << 31, 1 << 32}},
	} {
		data, err := hex.DecodeString(c.data)
		if err != nil {
			t.Fatal(err)
		}
		head := fmt.Sprintf("%-117s\n", fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", c.typ, c.order, c.shape))
		raw := append([]byte("\x93NUMPY\x01\x00v\x00"+head), data...)
		read := func(raw []byte) (got []float32, err error) {
			err = npy.ReadRows(bytes.NewReader(raw), npy.Numbers, func(int, int) error { return nil }, func(typ string, b []byte) error {
				got = npy.AppendFloat32(got, typ, b)
				return nil
			})
			return got, err
		}
		if got, err := read(raw); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
		for what, bad := range map[string][]byte{"shorter": raw[:len(raw)-1], "longer": append(raw, 0)} {
			if _, err := read(bad); err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
}
