package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSafetensorsRoundTrip(t *testing.T) {
	want := Tensors{
		"b":      {Name: "b", Shape: []int{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}},
		"a":      {Name: "a", Shape: []int{}, Data: []float32{-0.5}},
		"nobody": {Name: "nobody", Shape: []int{0}, Data: []float32{}},
	}
	meta := map[string]string{"seed": "1"}
	one, err := MarshalSafetensors(want, meta)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.safetensors")
	if err := os.WriteFile(path, one, 0o600); err != nil {
		t.Fatal(err)
	}
	got, gotMeta, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(meta, gotMeta); d != "" {
		t.Error(d)
	}
	two, _ := MarshalSafetensors(got, gotMeta)
	if !bytes.Equal(one, two) {
		t.Error("equal tensors gave different bytes")
	}
	if _, err := MarshalSafetensors(Tensors{"x": {Shape: []int{2}, Data: []float32{1}}}, nil); err == nil {
		t.Error("a tensor with too few values was encoded")
	}
}

// file returns a safetensors file with a header and n bytes of data.
func file(header string, n int) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(out, header...)
	return append(out, make([]byte, n)...)
}

func TestParseSafetensorsRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		raw        []byte
	}{
		{"short", "3 bytes", []byte("abc")},
		{"header length", "header of", append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, '{', '}')},
		{"no json", "header", file(`{"a"`, 0)},
		{"array", "not a JSON object", file(`[]`, 0)},
		{"trailing", "after the JSON", file(`{}{}`, 0)},
		{"twice", "twice", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},`+
			`"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4)},
		{"truncated", "outside", file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 4)},
		{"backwards", "outside", file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}}`, 4)},
		{"overlap", "overlap", file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},`+
			`"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`, 4)},
		{"hole", "hole", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}`, 4)},
		{"tail", "after the last", file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 4)},
		{"shape", "offsets say", file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8)},
		{"overflow", "large", file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}`, 8)},
		{"negative", "negative", file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}`, 8)},
		{"dtype", "not supported", file(`{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}`, 1)},
	}
	for _, tt := range tests {
		_, _, err := ParseSafetensors(tt.raw)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	ts, _, err := ParseSafetensors(file(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},`+
		`"b":{"dtype":"I64","shape":[],"data_offsets":[4,12]}}  `, 12))
	if err != nil || ts["a"].Len() != 2 || ts["b"].Len() != 1 {
		t.Errorf("a valid file: %v, %v", ts, err)
	}
}

func FuzzParseSafetensors(f *testing.F) {
	raw, err := MarshalSafetensors(Tensors{
		"a": {Name: "a", Shape: []int{2, 1}, Data: []float32{1, 2}},
		"b": {Name: "b", Shape: []int{1}, Data: []float32{3}},
	}, map[string]string{"k": "v"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(file(`{"__metadata__":{"a":"b"},"a":{"dtype":"BOOL","shape":[2,0],"data_offsets":[0,0]}}`, 0))
	f.Add(file(`{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"I64","shape":[1],"data_offsets":[1,9]}}`, 9))
	f.Add(file(`{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ts, meta, err := ParseSafetensors(raw)
		if err != nil {
			return
		}
		check(t, ts)
		again, err := MarshalSafetensors(ts, meta)
		if err != nil {
			t.Fatalf("parsed tensors cannot be encoded: %v", err)
		}
		if _, _, err := ParseSafetensors(again); err != nil {
			t.Fatalf("encoded tensors cannot be parsed: %v", err)
		}
	})
}
