package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadShards(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, raw []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, key := range map[string]string{"a.safetensors": "x", "b.safetensors": "y"} {
		raw, err := MarshalSafetensors(Tensors{key: {Name: key, Shape: []int{1}, Data: []float32{float32(len(key + name))}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		write(name, raw)
	}
	index := func(m string) string { return write("i.index.json", []byte(`{"metadata":{},"weight_map":`+m+`}`)) }
	ts, err := ReadShards(index(`{"x":"a.safetensors","y":"b.safetensors"}`))
	if err != nil || len(ts) != 2 || ts["x"].Len() != 1 {
		t.Fatalf("%v, %v", ts, err)
	}
	for m, want := range map[string]string{
		`{"x":"a.safetensors"}`: "", `{"x":"../a.safetensors"}`: "outside its folder", `{"x":"/etc/passwd"}`: "outside its folder", `{"x":".."}`: "outside its folder",
		`{}`: "names 0 shards", `{"x":1}`: "no index", `{"x":"a.safetensors","z":"a.safetensors"}`: "lacks the tensor", `{"x":"b.safetensors"}`: "places in",
		`{"x":"c.safetensors"}`: "no such file",
	} {
		_, err := ReadShards(index(m))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: %v, want %q", m, err, want)
		}
		if want != "" && want != "no such file" && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v is not ErrFormat", m, err)
		}
	}
	if names, err := Shards("model.safetensors"); names != nil || err != nil {
		t.Errorf("Shards() = %q, %v", names, err)
	}
}
