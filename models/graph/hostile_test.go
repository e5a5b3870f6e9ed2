package graph_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/models/graph"
)

// operator returns a NodeProto; a domain of "" is left out.
func operator(in, out, op, domain string, more ...[]byte) []byte {
	b := slices.Concat(msg(1, []byte(in)), msg(2, []byte(out)), msg(4, []byte(op)))
	if domain != "" {
		b = append(b, msg(7, []byte(domain))...)
	}
	return append(b, bytes.Join(more, nil)...)
}

// local returns a FunctionProto of the domain my.
func local(name string, nodes ...[]byte) []byte {
	b := slices.Concat(msg(1, []byte(name)), msg(10, []byte("my")))
	for _, n := range nodes {
		b = append(b, msg(7, n)...)
	}
	return b
}

// within returns a GraphProto of depth graphs, one in an attribute of the other.
func within(depth, width int) []byte {
	if depth == 0 {
		return msg(1, operator("x", "y", "Relu", ""))
	}
	inner := within(depth-1, width)
	var attrs [][]byte
	for range width {
		attrs = append(attrs, msg(5, msg(6, inner)))
	}
	return msg(1, operator("x", "y", "If", "", attrs...))
}

func hostileModels() map[string]struct {
	raw  []byte
	want string
} {
	const million = 1 << 20
	relu := msg(1, operator("x", "y", "Relu", ""))
	call := func(name string) []byte { return msg(7, msg(1, operator("x", "y", name, "my"))) }
	laughs := call("F39")
	for i := range 40 {
		body := [][]byte{operator("a", "b", "Relu", "")}
		if i > 0 {
			twice := operator("a", "b", fmt.Sprint("F", i-1), "my")
			body = [][]byte{twice, twice}
		}
		laughs = append(laughs, msg(25, local(fmt.Sprint("F", i), body...))...)
	}
	initialiser := func(name string, dims uint64, data int) []byte {
		return msg(5, num(1, dims), num(2, 1), msg(8, []byte(name)), msg(9, make([]byte, data)))
	}
	groups := []byte{}
	for range 100_000 {
		groups = protowire.AppendTag(groups, 3, protowire.StartGroupType)
	}
	return map[string]struct {
		raw  []byte
		want string
	}{
		"fields":            {msg(7, bytes.Repeat([]byte{8, 0}, 30*million)), "more than 1048576 fields"},
		"fields of a node":  {msg(7, msg(1, bytes.Repeat([]byte{8, 0}, 30*million))), "more than 1048576 fields"},
		"many nodes":        {msg(7, bytes.Repeat(msg(1, operator("x", "", "Relu", "")), 300_000)), "operators"},
		"dimensions":        {msg(7, msg(5, msg(1, make([]byte, 60*million)), num(2, 1), msg(8, []byte("w")))), "dimensions"},
		"loose dimensions":  {msg(7, msg(5, bytes.Repeat(num(1, 1), 1000))), "dimensions"},
		"dimensions of x":   {msg(7, msg(11, msg(1, []byte("x")), msg(2, msg(1, msg(2, bytes.Repeat(msg(1), 1000)))))), "dimensions"},
		"huge shape":        {msg(7, initialiser("w", 1<<40, 4), relu), "has the shape"},
		"negative shape":    {msg(7, initialiser("w", 1<<63, 4), relu), "has the shape"},
		"less than stated":  {msg(7, initialiser("w", 100, 4), relu), "has 4 bytes for float[100]"},
		"no data":           {msg(7, msg(5, num(1, 5), num(2, 1), msg(8, []byte("w"))), relu), "has no data"},
		"groups":            {msg(7, groups), "parse"},
		"deep graphs":       {msg(7, within(40, 1)), "nested deeper than 32"},
		"many graphs":       {msg(7, within(3, 20)), "more than 4096 graphs"},
		"calls itself":      {slices.Concat(call("F"), msg(25, local("F", operator("a", "b", "F", "my")))), `"F" calls itself`},
		"call each other":   {slices.Concat(call("F"), msg(25, local("F", operator("a", "b", "G", "my"))), msg(25, local("G", operator("a", "b", "F", "my")))), "calls itself"},
		"laughs":            {laughs, "counted as often as they are called"},
		"two functions":     {slices.Concat(msg(7, relu), msg(25, local("F")), msg(25, local("F"))), `two functions "F"`},
		"two initialisers":  {msg(7, initialiser("w", 1, 4), initialiser("w", 1, 4), relu), `two initialisers "w"`},
		"two results":       {msg(7, relu, relu), `two results "y"`},
		"two inputs":        {msg(7, msg(11, msg(1, []byte("x"))), msg(11, msg(1, []byte("x"))), relu), `two inputs "x"`},
		"input is a result": {msg(7, msg(11, msg(1, []byte("y"))), relu), "input or initialiser too"},
		"two graphs":        {slices.Concat(msg(7, relu), msg(7, relu)), "two graphs"},
	}
}

// Models of strangers are refused with one line in bounded memory, before a runtime sees them.
func TestHostileModels(t *testing.T) {
	const most = 600 << 20 // in all; what is in use at a time is less
	for name, tt := range hostileModels() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := graph.Parse(tt.raw)
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		if !errors.Is(err, graph.ErrModel) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if used > most {
			t.Errorf("%s: allocated %d MB for a file of %d MB", name, used>>20, len(tt.raw)>>20)
		}
		t.Logf("%-18s file %5.1f MB, allocated %6.1f MB", name, float64(len(tt.raw))/1e6, float64(used)/1e6)
	}
	good := slices.Concat(msg(7, msg(1, operator("x", "y", "F", "my")), msg(1, operator("y", "z", "F", "my"))), msg(25, local("F", operator("a", "b", "Relu", ""))))
	if _, err := graph.Parse(good); err != nil {
		t.Errorf("a function that is called twice: %v", err)
	}
}

// Data in a pipe is refused rather than waited for.
func TestInlineRefusesPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "w"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := graph.Inline(msg(7, msg(5, outside("w", 4, "location", "w"))), os.DirFS(dir))
	if !errors.Is(err, graph.ErrExternal) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("error %v", err)
	}
}

// Many tensors on the same bytes of a file cannot stand for more than a model may hold.
func TestInlineOverlapping(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "w"), nil, 0o600), os.Truncate(filepath.Join(dir, "w"), 1<<30)); err != nil {
		t.Fatal(err)
	}
	var all []byte
	for i := range 1000 {
		all = append(all, msg(5, outside(fmt.Sprint("w", i), 1<<28, "location", "w"))...)
	}
	_, err := graph.Inline(msg(7, all), os.DirFS(dir))
	if !errors.Is(err, graph.ErrExternal) || !strings.Contains(err.Error(), "2 GiB") {
		t.Errorf("error %v", err)
	}
}

// A model that is cut anywhere is refused, or is whole up to there.
func TestTruncatedModels(t *testing.T) {
	raw := marshal(t, mlp())
	refused := 0
	for n := range raw {
		m, err := graph.Parse(raw[:n])
		switch {
		case err != nil && !errors.Is(err, graph.ErrModel):
			t.Fatalf("%d of %d bytes: %v", n, len(raw), err)
		case err != nil:
			refused++
		case !bytes.Equal(m.Marshal(), raw[:n]):
			t.Fatalf("%d of %d bytes were read as something else", n, len(raw))
		}
	}
	if refused < len(raw)*9/10 {
		t.Errorf("only %d of %d beginnings were refused", refused, len(raw))
	}
}
