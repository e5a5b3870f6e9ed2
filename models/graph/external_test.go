package graph_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/models/graph"
)

// msg appends a field of bytes; its arguments are concatenated.
func msg(num protowire.Number, val ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(val, nil))
}

func num(n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v)
}

// outside returns a TensorProto float[n] with its data in a file; entries are key and value by turns.
func outside(name string, n uint64, entries ...string) []byte {
	b := slices.Concat(num(1, n), num(2, 1), msg(8, []byte(name)))
	for e := range slices.Chunk(entries, 2) {
		b = append(b, msg(13, msg(1, []byte(e[0])), msg(2, []byte(e[1])))...)
	}
	return append(b, num(14, 1)...)
}

// inside is what [outside] becomes with its data.
func inside(name string, data []byte) []byte {
	return slices.Concat(num(1, uint64(len(data)/4)), num(2, 1), msg(8, []byte(name)), msg(9, data))
}

// everywhere returns a model with a tensor in every place that may hold one.
func everywhere(tensor func(i int) []byte) []byte {
	i := 0
	next := func() []byte { i++; return tensor(i - 1) }
	sparse := func() []byte { return slices.Concat(msg(1, next()), msg(2, next())) }
	inner := msg(5, next())
	attrs := slices.Concat(
		msg(5, msg(1, []byte("value")), msg(5, next())), msg(5, msg(10, next()), msg(10, next())),
		msg(5, msg(22, sparse())), msg(5, msg(23, sparse())),
		msg(5, msg(6, inner, msg(1, msg(5, msg(11, msg(5, next())))))),
	)
	g := slices.Concat(msg(1, attrs), msg(5, next()), msg(15, sparse()))
	return slices.Concat(num(1, 8), msg(7, g), msg(20, msg(1, msg(5, next())), msg(2, msg(5, next()))),
		msg(25, msg(7, msg(5, msg(5, next()))), msg(11, msg(5, next()))))
}

func TestInlineFindsEveryTensor(t *testing.T) {
	const count = 16
	var file [4 * count]byte
	for i := range count {
		binary.LittleEndian.PutUint32(file[4*i:], uint32(i))
	}
	dir := fstest.MapFS{"even.bin": {Data: file[:]}, "sub/odd.bin": {Data: file[:]}}
	made := 0
	model := everywhere(func(i int) []byte {
		made++
		name := []string{"even.bin", "./sub/odd.bin"}[i%2]
		return outside(fmt.Sprint("w", i), 1, "location", name, "offset", fmt.Sprint(4*i), "length", "4")
	})
	if made != count {
		t.Fatalf("%d tensors, want %d", made, count)
	}
	want := everywhere(func(i int) []byte { return inside(fmt.Sprint("w", i), file[4*i:4*i+4]) })
	got, err := graph.Inline(model, dir)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Inline() = %q, %v; want %q", got, err, want)
	}
	names, err := graph.External(model)
	if err != nil || !slices.Equal(names, []string{"./sub/odd.bin", "even.bin"}) {
		t.Errorf("External() = %q, %v", names, err)
	}
	if names, err := graph.External(got); err != nil || len(names) > 0 {
		t.Errorf("External() after Inline() = %q, %v", names, err)
	}
	if again, err := graph.Inline(got, nil); err != nil || &again[0] != &got[0] {
		t.Errorf("a model without other files is copied: %v", err)
	}
}

func TestInlineRefuses(t *testing.T) {
	parent := t.TempDir()
	folder := filepath.Join(parent, "model")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(parent, "secret"), filepath.Join(folder, "w")} {
		if err := os.WriteFile(path, make([]byte, 16), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link": "../secret", "absolute": filepath.Join(parent, "secret"), "dangling": "none"} {
		if err := os.Symlink(to, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tests := []struct {
		name, want string
		entries    []string
	}{
		{"parent", "outside the model's folder", []string{"location", "../secret"}},
		{"parent below", "outside the model's folder", []string{"location", "x/../../secret"}},
		{"absolute", "outside the model's folder", []string{"location", filepath.Join(parent, "secret")}},
		{"memory of ONNX Runtime", "is missing", []string{"location", "*/_ORT_MEM_ADDR_/*", "offset", "4096"}},
		{"link out", "escapes", []string{"location", "link"}},
		{"absolute link", "escapes", []string{"location", "absolute"}},
		{"dangling link", "is missing", []string{"location", "dangling"}},
		{"folder", "not a regular file", []string{"location", "."}},
		{"missing", "is missing: copy it", []string{"location", "none"}},
		{"no name", "names no file", nil},
		{"beyond the end", "has 16 bytes, the tensor ends at 20", []string{"location", "w", "offset", "4"}},
		{"far beyond the end", "the tensor ends at", []string{"location", "w", "offset", "9223372036854775807"}},
		{"negative", `offset "-4"`, []string{"location", "w", "offset", "-4"}},
		{"huge", `offset "18446744073709551615"`, []string{"location", "w", "offset", "18446744073709551615"}},
		{"length", "8 bytes, want 16 for float[4]", []string{"location", "w", "length", "8"}},
		{"length of text", `length "x"`, []string{"location", "w", "length", "x"}},
	}
	for _, tt := range tests {
		model := msg(7, msg(5, outside("w", 4, tt.entries...)))
		_, err := graph.Inline(model, root.FS())
		if !errors.Is(err, graph.ErrExternal) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		if names, err := graph.External(model); err != nil || len(names) != 1 {
			t.Errorf("%s: External() = %q, %v", tt.name, names, err)
		}
	}
	// Protocol buffers keep 32 bits of an enumeration: this is EXTERNAL too.
	long := msg(7, msg(5, slices.Concat(num(1, 4), num(2, 1), num(14, 1<<32|1))))
	if names, err := graph.External(long); err != nil || len(names) != 1 {
		t.Errorf("a long location: External() = %q, %v", names, err)
	}
	huge := msg(7, msg(5, slices.Concat(num(1, 1<<40), outside("w", 1<<40, "location", "w"))))
	if _, err := graph.Inline(huge, root.FS()); !errors.Is(err, graph.ErrExternal) {
		t.Errorf("huge shape: %v", err)
	}
}

// The weights are read straight into the result.
func TestInlineMemory(t *testing.T) {
	const size = 64 << 20
	path := filepath.Join(t.TempDir(), "w")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	model := msg(7, msg(5, outside("a", size/8, "location", "w")),
		msg(5, outside("b", size/8, "location", "w", "offset", fmt.Sprint(size/2))))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	out, err := graph.Inline(model, os.DirFS(filepath.Dir(path)))
	runtime.ReadMemStats(&after)
	if err != nil || len(out) < size {
		t.Fatalf("%d bytes, %v", len(out), err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > size*11/10 {
		t.Errorf("allocated %d bytes for %d bytes of weights", got, size)
	}
}

func FuzzInline(f *testing.F) {
	f.Add(everywhere(func(i int) []byte { return outside("w", 1, "location", "w", "offset", fmt.Sprint(i)) }))
	f.Add(msg(7, msg(5, outside("w", 4, "location", "../w", "length", "16"))))
	dir := fstest.MapFS{"w": {Data: make([]byte, 64)}}
	f.Fuzz(func(t *testing.T, model []byte) {
		out, err := graph.Inline(model, dir)
		if err != nil {
			if !errors.Is(err, graph.ErrExternal) && !errors.Is(err, graph.ErrModel) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("error %v", err)
			}
			return
		}
		if names, err := graph.External(out); err != nil || len(names) > 0 {
			t.Errorf("after Inline: %q, %v", names, err)
		}
	})
}

// A graph that writes its constants beside itself is, taken together again, the model that it would have been.
func TestBeside(t *testing.T) {
	build := func(opts ...graph.Option) []byte {
		g := graph.New(graph.Float32, opts...)
		x := g.Input("x", graph.Float32, -1, 300)
		for i := range 3 {
			weights := make([]float32, 300*300)
			for j := range weights {
				weights[j] = float32((i%2*7+j)%11) / 50 // the third is the first
			}
			x = g.Add(g.MatMul(x, g.Const(weights, 300, 300)), g.Const([]float32{float32(i)}))
		}
		g.Output(x, "y")
		model, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return model
	}
	want := build()
	var file, whole bytes.Buffer
	small := build(graph.Beside(&file, "weights"))
	if len(small) > 2000 || file.Len() < 2*4*300*300 || file.Len() > 2*4*300*300+100 {
		t.Errorf("%d bytes of model, %d of weights", len(small), file.Len())
	}
	if err := graph.InlineTo(&whole, small, fstest.MapFS{"weights": {Data: file.Bytes()}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole.Bytes(), want) {
		t.Errorf("%d bytes, want the same as the %d of the model in one piece", whole.Len(), len(want))
	}
	g := graph.New(graph.Float32, graph.Beside(failing{}, "weights"))
	g.Const(make([]float32, 300))
	if err := g.Err(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a writer that fails: %v", err)
	}
}

// failing is a writer that takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, os.ErrClosed }
