package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestOpenTorchElementTypes(t *testing.T) {
	ts, _, err := OpenTorch("testdata/types.pt")
	if err != nil {
		t.Fatal(err)
	}
	inf := float32(math.Inf(1))
	tests := []struct {
		name  string
		shape []int
		want  []float32
	}{
		{"f32", []int{3, 4}, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		{"transposed", []int{4, 3}, []float32{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}},
		{"window", []int{2, 2}, []float32{5, 6, 9, 10}},
		{"half", []int{5}, []float32{1.5, -2, 65504, 1.0 / (1 << 24), inf}},
		{"bf16", []int{3}, []float32{1.5, -2.25, math.Float32frombits(0x7f620000)}},
		{"f64", []int{2}, []float32{0.1, -1e30}},
		{"i64", []int{}, []float32{7}},
		{"u8", []int{2}, []float32{0, 255}},
		{"boolean", []int{2}, []float32{1, 0}},
		{"param", []int{1, 2}, []float32{1, 2}},
		{"empty", []int{0, 3}, []float32{}},
	}
	if len(ts) != len(tests) {
		t.Errorf("tensors %v, want %d", ts.Names(), len(tests))
	}
	for _, tt := range tests {
		got, err := ts.Get(tt.name, tt.shape...)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if !slices.Equal(got.Data, tt.want) {
			t.Errorf("%s = %v, want %v", tt.name, got.Data, tt.want)
		}
	}
}

func TestOpenTorchModule(t *testing.T) {
	ts, _, err := OpenTorch("testdata/module.pt") // a bare OrderedDict with _metadata, as state_dict() gives it
	if err != nil {
		t.Fatal(err)
	}
	if got := ts.Names(); !slices.Equal(got, []string{"0.bias", "0.weight"}) {
		t.Errorf("names %v", got)
	}
}

// TestOpenTorchLegacy compares a file in the format before PyTorch 1.6 with the same tensors in the zip format.
func TestOpenTorchLegacy(t *testing.T) {
	want, _, err := OpenTorch("testdata/types.pt")
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := OpenTorch("testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
}

func TestOpenTorchMeta(t *testing.T) {
	_, meta, err := OpenTorch("testdata/types.pt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"epoch": 3, "meta": map[string]any{
		"lr": 1e-3, "name": "x", "none": nil, "list": []any{1, 2, map[string]any{"a": 1}},
	}}
	if d := cmp.Diff(want, meta); d != "" {
		t.Error(d)
	}
}

func TestOpenTorchRefuses(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile("testdata/types.pt")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	old, err := os.ReadFile("testdata/legacy.pt")
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(whole)
	flipped[bytes.Index(flipped, []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40})] ^= 0x55 // inside a storage
	huge := "\x80\x02}q\x00X\xff\xff\xff\x7fabc."
	tests := []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "no.pt"), "no such file"},
		{"folder", dir, "it is a folder"},
		{"empty", write("empty.pt", nil), "not a torch file"},
		{"truncated", write("cut.pt", whole[:len(whole)/2]), "truncated"},
		{"flipped", write("flip.pt", flipped), "checksum"},
		{"legacy, truncated", write("old.pt", old[:len(old)-5]), "truncated"},
		{"legacy, cut in a pickle", write("older.pt", old[:200]), "truncated"},
		{"legacy, version", write("odd.pt", bytes.Replace(old, []byte("M\xe9\x03."), []byte("M\xea\x03."), 1)), "version 1002"},
		{"legacy, order", write("order.pt", bytes.Replace(old, []byte("endianq\x02\x88"), []byte("endianq\x02\x89"), 1)), "byte order"},
		{"code", "testdata/executes.pt", `names "posix.system"`},
		{"module", "testdata/wholemodel.pt", `names "torch.nn.modules.container.Sequential"`},
		{"protocol", "testdata/protocol4.pt", "protocol 4 is not supported"},
		{"no pickle", write("np.pt", zipOf(t, map[string]string{"a/b": "x"})), "no data.pkl"},
		{"length", write("len.pt", zipOf(t, map[string]string{"a/data.pkl": huge})), "runs past the end"},
		{"reduce", write("r.pt", zipOf(t, map[string]string{"a/data.pkl": "\x80\x02)R."})), "damaged pickle"},
		{"object", write("o.pt", zipOf(t, map[string]string{"a/data.pkl": "(i__builtin__\nobject\n."})), "0x69"},
		{"keys", write("k.pt", zipOf(t, map[string]string{"a/data.pkl": "\x80\x02}(X\x05\x00\x00\x00epochK\x01X\x04\x00\x00\x00argsNu."})), `no dictionary of tensors, only "epoch", "args"`},
		{"eval", write("e.pt", zipOf(t, map[string]string{"a/data.pkl": "\x80\x02c__builtin__\neval\n."})), `names "__builtin__.eval"`},
		{"nothing", write("n.pt", zipOf(t, map[string]string{"a/data.pkl": "\x80\x02}."})), "no dictionary of tensors"},
	}
	for _, tt := range tests {
		ts, _, err := OpenTorch(tt.path)
		if err == nil || ts != nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, tt.want) || !strings.Contains(msg, tt.path) ||
			strings.Contains(msg, "\n") {
			t.Errorf("%s: error %q, want %q and the path", tt.name, msg, tt.want)
		}
		if tt.name != "missing" && tt.name != "folder" && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v is not ErrFormat", tt.name, err)
		}
	}
	if _, err := os.Stat("/tmp/should-not-exist"); err == nil {
		t.Error("the pickle was executed")
	}
}

// The weights are found wherever they are, beside settings of all kinds, which are left out. testdata/extras.py wrote the file.
func TestOpenTorchExtras(t *testing.T) {
	ts, meta, err := OpenTorch("testdata/extras.pt")
	if err != nil {
		t.Fatal(err)
	}
	if meta["epoch"] != 12 || meta["args"] != nil {
		t.Errorf("plain values %v", meta)
	}
	want := map[string][]float32{"weight": {1, 2, 3}, "bias": {4}, "scale": {5, 6}} // without module. and net.
	got := map[string][]float32{}
	for name, x := range ts.Unwrapped() {
		got[name] = x.Data
		if x.Name != name {
			t.Errorf("tensor %q is called %q", name, x.Name)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUnwrapped(t *testing.T) {
	tensors := func(names ...string) Tensors {
		ts := Tensors{}
		for _, n := range names {
			ts[n] = &Tensor{Name: n, Data: []float32{1, 2}}
		}
		return ts
	}
	for _, tt := range []struct{ in, want []string }{
		{[]string{"module.a.w", "module.b.w"}, []string{"a.w", "b.w"}},
		{[]string{"model._orig_mod.module.a.w", "model._orig_mod.module.b"}, []string{"a.w", "b"}},
		{[]string{"module.a.w", "b.w"}, []string{"b.w", "module.a.w"}},
		{[]string{"a.module.w"}, []string{"a.module.w"}},
		{[]string{"module."}, []string{"module."}},
		{[]string{"modules.a", "modules.b"}, []string{"modules.a", "modules.b"}},
		{nil, nil},
	} {
		if got := slices.Sorted(maps.Keys(tensors(tt.in...).Unwrapped())); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
	}
}

func zipOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, body := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestViewBounds reads views with the offsets, sizes and strides that a hostile pickle may state.
func TestViewBounds(t *testing.T) {
	raw := make([]byte, 4*12)
	for i := range 12 {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(float32(i)))
	}
	s := storage{elem: elemF32, key: "0", size: 12}
	tests := []struct {
		name string
		v    view
		want string
	}{
		{"fits", view{s, 0, []int{3, 4}, []int{4, 1}}, ""},
		{"past the end", view{s, 1, []int{3, 4}, []int{4, 1}}, "outside"},
		{"negative offset", view{s, -1, []int{1}, []int{1}}, "outside"},
		{"negative size", view{s, 0, []int{-1}, []int{1}}, "negative"},
		{"negative stride", view{s, 3, []int{2}, []int{-1}}, "stride"},
		{"expanded", view{s, 0, []int{1 << 20, 1 << 20}, []int{0, 0}}, "large"},
		{"overflow", view{s, 0, []int{1 << 40, 1 << 40}, []int{0, 0}}, "large"},
		{"announced", view{storage{elemF32, "0", 13}, 0, []int{1}, []int{1}}, "truncated"},
	}
	for _, tt := range tests {
		_, err := tt.v.read(raw, 100)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestFloat16(t *testing.T) {
	for h, want := range map[uint16]float32{
		0x0000: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 0x0001: 5.9604645e-08, 0x03ff: 6.097555e-05, 0x0400: 6.1035156e-05,
	} {
		if got := float16(h); got != want {
			t.Errorf("float16(%#x) = %v, want %v", h, got, want)
		}
	}
	if v := float16(0x7e00); v == v {
		t.Errorf("float16(NaN) = %v", v)
	}
	if v := float16(0x8000); v != 0 || !math.Signbit(float64(v)) {
		t.Errorf("float16(-0) = %v", v)
	}
}

// TestOpenTorchEfficientViT reads the published checkpoint.
func TestOpenTorchEfficientViT(t *testing.T) {
	data := os.Getenv("OODCAST_DATA")
	if data == "" {
		t.Skip("SKIPPED: OODCAST_DATA is not set, the EfficientViT checkpoint was not read")
	}
	path := filepath.Join(data, "encoders", "efficientvit_seg_b0_cityscapes.pt")
	ts, _, err := OpenTorch(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := ts.Get("backbone.input_stem.op_list.0.conv.weight", 8, 3, 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range w.Data {
		sum += float64(v) * float64(v)
	}
	t.Logf("%d tensors, %d values, |stem|² = %.6f", len(ts), ts.Params(), sum)
	if len(ts) != 230 || ts.Params() != 711059 {
		t.Errorf("%d tensors, %d values, want 230 and 711059", len(ts), ts.Params())
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.pt")
	for _, keep := range []float64{0.1, 0.5, 0.99} {
		if err := os.WriteFile(cut, whole[:int(keep*float64(len(whole)))], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := OpenTorch(cut); !errors.Is(err, ErrFormat) {
			t.Errorf("%.0f %% of the file: %v", 100*keep, err)
		}
	}
}

func FuzzReadTorch(f *testing.F) {
	for _, name := range []string{"types.pt", "module.pt", "executes.pt", "protocol4.pt", "legacy.pt", "extras.pt"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add(pickled(f, tensorPickle(4, 0, []int{2, 2}, []int{1, 2})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ts, _, err := ReadTorch(bytes.NewReader(raw), int64(len(raw)))
		if err == nil {
			check(t, ts)
		}
	})
}

// FuzzUnpickle calls the pickle machine directly, without the archive and its checksums.
func FuzzUnpickle(f *testing.F) {
	for _, name := range []string{"types.pt", "module.pt", "executes.pt", "extras.pt", "wholemodel.pt"} {
		z, err := zip.OpenReader(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		for _, m := range z.File {
			if filepath.Base(m.Name) == "data.pkl" {
				rc, _ := m.Open()
				var buf bytes.Buffer
				_, _ = buf.ReadFrom(rc)
				f.Add(buf.Bytes())
			}
		}
		z.Close()
	}
	for _, pickle := range []string{
		tensorPickle(4, 0, []int{1 << 30, 4}, []int{0, 1}), "\x80\x02}q\x00" + text("model") + "h\x00s.", "\x80\x02]q\x00(h\x00h\x00te.",
		"\x80\x02ccollections\nOrderedDict\n)R}" + text("a") + "Nsb.", "\x80\x02(NNt)R.",
	} {
		f.Add([]byte(pickle))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, err := unpickle(raw)
		if err != nil {
			return
		}
		_ = plainItems(v)
		for _, n := range stateDict(v) {
			if data, err := n.view.read(make([]byte, 256), 64); err == nil && len(data) > 64 {
				t.Errorf("%d values out of 256 bytes", len(data))
			}
		}
	})
}

func check(t *testing.T, ts Tensors) {
	for name, x := range ts {
		if n, err := numel(x.Shape, len(x.Data)); err != nil || n != len(x.Data) || name != x.Name {
			t.Errorf("tensor %q (%q): shape %v, %d values", name, x.Name, x.Shape, len(x.Data))
		}
	}
}
