package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writeFile writes a file of a test.
func writeFile(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// shards writes two files with weights and returns the folder.
func shards(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for file, names := range map[string][]string{"a.safetensors": {"one", "two"}, "b.safetensors": {"three"}} {
		ts := Tensors{}
		for i, name := range names {
			ts[name] = &Tensor{Name: name, Shape: []int{2}, Data: []float32{float32(i), float32(len(name))}}
		}
		raw, err := MarshalSafetensors(ts, nil)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, file), raw)
	}
	return dir
}

// A checkpoint in several files is read as if it were one.
func TestReadSharded(t *testing.T) {
	path := filepath.Join(shards(t), "model"+IndexSuffix)
	writeFile(t, path, []byte(`{"metadata":{"total_size":24},"weight_map":{"one":"a.safetensors","two":"a.safetensors","three":"b.safetensors"}}`))
	ts, err := ReadSharded(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "three", "two"}, ts.Names()); diff != "" || ts["three"].Data[1] != 5 || ts["two"].Data[0] != 1 {
		t.Errorf("%v: %+v", diff, ts)
	}
	files, err := Shards(path)
	if diff := cmp.Diff([]string{"a.safetensors", "b.safetensors"}, files); err != nil || diff != "" {
		t.Errorf("Shards() = %v, %v", files, err)
	}
}

// An index that does not describe its files is refused, and one that leads elsewhere is not followed.
func TestReadShardedRefuses(t *testing.T) {
	dir := shards(t)
	for _, tt := range []struct{ name, index, want string }{
		{"no JSON", `{`, "unexpected end of JSON input"},
		{"empty", `{}`, `no files under "weight_map"`},
		{"outside", `{"weight_map":{"one":"../a.safetensors"}}`, `tensor "one" is in "../a.safetensors": want the name of a .safetensors file`},
		{"absolute", `{"weight_map":{"one":"/etc/a.safetensors"}}`, "beside the index"},
		{"pickle", `{"weight_map":{"one":"a.bin"}}`, "beside the index"},
		{"missing file", `{"weight_map":{"one":"c.safetensors"}}`, "no such file"},
		{
			"missing tensor", `{"weight_map":{"one":"a.safetensors","two":"a.safetensors","four":"b.safetensors","three":"b.safetensors"}}`,
			`"b.safetensors" does not hold the tensor "four"`,
		},
		{
			"another place", `{"weight_map":{"one":"a.safetensors","two":"b.safetensors","three":"b.safetensors"}}`,
			`"a.safetensors" holds the tensor "two", which the index does not expect there`,
		},
	} {
		path := filepath.Join(dir, "model"+IndexSuffix)
		writeFile(t, path, []byte(tt.index))
		if _, err := ReadSharded(path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"one":"a.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"one":"../a.safetensors"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		index, err := parseIndex(raw)
		if err != nil {
			return
		}
		for _, name := range index {
			if !filepath.IsLocal(name) || filepath.Dir(name) != "." {
				t.Fatalf("the index leads to %q", name)
			}
		}
	})
}
