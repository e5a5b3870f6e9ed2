package checkpoint

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// mostMemory is what the refusal of a file of at most 64 MiB may allocate in all, in bytes; what is in use at a time is less.
const mostMemory = 600 << 20

// allocated returns how many bytes f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// number is an instruction that pushes a 32-bit number.
func number(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

// text is an instruction that pushes a text.
func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// tuple pushes a tuple of numbers.
func tuple(ns []int) string {
	s := "("
	for _, n := range ns {
		s += number(n)
	}
	return s + "t"
}

// tensorPickle is the pickle of {"w": tensor} with a tensor of float32 on storage 0.
func tensorPickle(elements, offset int, size, stride []int) string {
	return "\x80\x02}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") +
		text("cpu") + number(elements) + "tQ" + number(offset) + tuple(size) + tuple(stride) + "\x89ccollections\nOrderedDict\n)RtRs."
}

// pickled is an archive with a pickle and 16 bytes of storage 0.
func pickled(t testing.TB, pickle string) []byte {
	return zipOf(t, map[string]string{"a/data.pkl": pickle, "a/data/0": "0123456789abcdef"})
}

// at returns b with four bytes replaced.
func at(b []byte, i int, v uint32) []byte {
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint32(b[i:], v)
	return b
}

// hostileFiles lists files that no program of good faith writes.
func hostileFiles(t *testing.T) map[string]struct {
	raw  []byte
	want string
} {
	t.Helper()
	const million = 1 << 20
	good := pickled(t, tensorPickle(4, 0, []int{4}, []int{1}))
	central := func(n int) int { // where the n-th entry of the directory begins
		i := 0
		for ; n >= 0; n-- {
			i += bytes.Index(good[i:], []byte("PK\x01\x02")) + 1
		}
		return i - 1
	}
	var deflated, twice, roots, many bytes.Buffer
	write := func(to *bytes.Buffer, method uint16, bodies ...string) {
		w := zip.NewWriter(to)
		for i := 0; i < len(bodies); i += 2 {
			f, err := w.CreateHeader(&zip.FileHeader{Name: bodies[i], Method: method})
			if err == nil {
				_, err = f.Write([]byte(bodies[i+1]))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(&deflated, zip.Deflate, "a/data.pkl", "\x80\x02}"+strings.Repeat("0", 1<<28)+".")
	write(&twice, zip.Store, "a/data.pkl", "\x80\x02}.", "a/data/0", "x", "a/data/0", "y")
	write(&roots, zip.Store, "a/data.pkl", "\x80\x02}.", "b/data.pkl", "\x80\x02}.")
	var names []string
	for i := range 400_000 {
		names = append(names, fmt.Sprint("a/", i), "")
	}
	write(&many, zip.Store, names...)

	bomb := "]q\x00" + strings.Repeat("0(h\x00h\x00tq\x00", 1000) // 2^1000 lists, if they were written out
	return map[string]struct {
		raw  []byte
		want string
	}{
		"marks":               {pickled(t, strings.Repeat("(", 60*million)), "nested ones"},
		"tuples":              {pickled(t, strings.Repeat(")", 60*million)), "instructions"},
		"dictionaries":        {pickled(t, strings.Repeat("}", 60*million)), "instructions"},
		"many dictionaries":   {pickled(t, "\x80\x02"+strings.Repeat("}0", million-2)+"}."), "no dictionary of tensors"},
		"kept dictionaries":   {pickled(t, "\x80\x02"+strings.Repeat("}", 2*million-2)+"."), "no dictionary of tensors"},
		"ordered":             {pickled(t, "\x80\x02ccollections\nOrderedDict\nq\x00"+strings.Repeat("h\x00)R", 600_000)+"."), "no dictionary of tensors"},
		"memo":                {pickled(t, "\x80\x02}"+text("w")+bomb+"s."), "no dictionary of tensors"},
		"cycle":               {pickled(t, "\x80\x02}q\x00"+text("model")+"h\x00s."), "no dictionary of tensors"},
		"models":              {pickled(t, "\x80\x02}q\x00}q\x01("+strings.Repeat("K\x01K\x01", 300_000)+"u0("+strings.Repeat(text("model")+"h\x01", 100_000)+"u."), "no dictionary of tensors"},
		"quoted":              {pickled(t, "\x80\x02("+strings.Repeat("N", million)+"t)R."), "damaged pickle"},
		"quoted text":         {pickled(t, "\x80\x02"+text(strings.Repeat("x", 30*million))+")R."), "damaged pickle"},
		"text length":         {pickled(t, "\x80\x02X\xff\xff\xff\xff."), "runs past the end"},
		"shape":               {pickled(t, tensorPickle(4, 0, []int{1 << 30, 1 << 30, 1 << 30}, []int{0, 0, 0})), "too large"},
		"expanded":            {pickled(t, tensorPickle(4, 0, []int{1 << 30}, []int{0})), "needs 1073741824 elements"},
		"storage":             {pickled(t, tensorPickle(1<<30, 0, []int{4}, []int{1})), "truncated"},
		"outside":             {pickled(t, tensorPickle(4, 2, []int{4}, []int{1})), "reach outside"},
		"ranks":               {pickled(t, tensorPickle(4, 0, make([]int, 100), make([]int, 100))), "wrong type"},
		"eval":                {pickled(t, "\x80\x02cbuiltins\neval\n"+text("1/0")+"\x85R."), `names "builtins.eval"`},
		"zip bomb":            {deflated.Bytes(), "is compressed"},
		"twice":               {twice.Bytes(), `two records "data/0"`},
		"two roots":           {roots.Bytes(), "two records data.pkl"},
		"directory":           {many.Bytes(), "list of records has more than"},
		"overlap":             {at(good, central(1)+42, binary.LittleEndian.Uint32(good[central(0)+42:])), "overlap"},
		"size":                {at(at(good, central(1)+20, 1<<31), central(1)+24, 1<<31), "ends outside the file"},
		"larger than stored":  {at(good, central(1)+24, 1<<31), ""},
		"header elsewhere":    {at(good, central(1)+42, 1<<31), "record"},
		"safetensors, nested": {file(`{"a":{"shape":`+strings.Repeat("[", 4*million), 0), "depth"},
		"safetensors, names":  {file("{"+strings.Repeat(`"a":[],`, million)+"}", 0), ""},
	}
}

// Files of strangers are refused with one line, without running anything, in bounded memory.
func TestHostileFiles(t *testing.T) {
	for name, tt := range hostileFiles(t) {
		var err error
		used := allocated(func() {
			if strings.HasPrefix(name, "safetensors") {
				_, _, err = ParseSafetensors(tt.raw)
			} else {
				_, _, err = ReadTorch(bytes.NewReader(tt.raw), int64(len(tt.raw)))
			}
		})
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
			t.Errorf("%s: %.600v, want %q", name, err, tt.want)
		}
		if used > mostMemory {
			t.Errorf("%s: allocated %d MB for a file of %d MB", name, used>>20, len(tt.raw)>>20)
		}
		t.Logf("%-20s file %6.1f MB, allocated %6.1f MB", name, float64(len(tt.raw))/1e6, float64(used)/1e6)
	}
}

// The good file of the hostile ones is good.
func TestHostileFilesControl(t *testing.T) {
	raw := pickled(t, tensorPickle(4, 0, []int{2, 2}, []int{1, 2}))
	ts, _, err := ReadTorch(bytes.NewReader(raw), int64(len(raw)))
	if err != nil || len(ts["w"].Data) != 4 {
		t.Fatalf("%v, %v", ts, err)
	}
}

func TestHostileSafetensors(t *testing.T) {
	entry := `"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`
	for _, tt := range []struct{ name, header, want string }{
		{"nan", `{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}`, "invalid character"},
		{"infinity", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,Infinity]}}`, "invalid character"},
		{"fraction", `{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`, "cannot unmarshal"},
		{"beyond 64 bits", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551616]}}`, "cannot unmarshal"},
		{"type twice", `{"a":{"dtype":"F32","dtype":"U8","shape":[1],"data_offsets":[0,4]}}`, `"dtype" is unknown or occurs twice`},
		{"capitals", `{"a":{"dtype":"F32","SHAPE":[1],"data_offsets":[0,4]}}`, `"SHAPE" is unknown`},
		{"unknown key", `{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"code":"x"}}`, `"code" is unknown`},
		{"same range", `{` + entry + `,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, "overlap"},
		{"inside", `{` + entry + `,"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, "overlap"},
		{"no offsets", `{"a":{"dtype":"F32","shape":[1]}}`, "offsets"},
		{"null", `{"a":null}`, "not a JSON object"},
		{"metadata", `{"__metadata__":{"a":{"b":1}}}`, "__metadata__"},
		{"ranks", `{"a":{"dtype":"F32","shape":[` + strings.Repeat("1,", 100) + `1],"data_offsets":[0,4]}}`, "dimensions"},
	} {
		if _, _, err := ParseSafetensors(file(tt.header, 4)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	lie := file(`{`+entry+`}`, 4)
	binary.LittleEndian.PutUint64(lie, uint64(len(lie)-7))
	if _, _, err := ParseSafetensors(lie); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "header of") {
		t.Errorf("header longer than the file: %v", err)
	}
}

// A file that is cut anywhere is refused.
func TestTruncatedEverywhere(t *testing.T) {
	for _, name := range []string{"types.pt", "legacy.pt", "extras.pt", "module.pt"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range raw {
			if _, _, err := ReadTorch(bytes.NewReader(raw[:n]), int64(n)); !errors.Is(err, ErrFormat) {
				t.Fatalf("%s, %d of %d bytes: %v", name, n, len(raw), err)
			}
		}
	}
	raw, err := MarshalSafetensors(Tensors{"a": {Name: "a", Shape: []int{2}, Data: []float32{1, 2}}, "b": {Name: "b", Shape: []int{}, Data: []float32{3}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range raw {
		if _, _, err := ParseSafetensors(raw[:n]); !errors.Is(err, ErrFormat) {
			t.Fatalf("safetensors, %d of %d bytes: %v", n, len(raw), err)
		}
	}
}

// shrinking is a file that another program truncates at the n-th read.
type shrinking struct {
	*os.File
	n int
}

func (s *shrinking) ReadAt(b []byte, at int64) (int, error) {
	if s.n--; s.n == 0 {
		if err := os.Truncate(s.Name(), 0); err != nil {
			return 0, err
		}
	}
	return s.File.ReadAt(b, at)
}

// A file that shrinks while it is read is refused, or was read before.
func TestFileShrinks(t *testing.T) {
	for _, name := range []string{"types.pt", "legacy.pt"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		refused := 0
		for n := 1; ; n++ {
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			s := &shrinking{f, n}
			ts, _, err := ReadTorch(s, int64(len(raw)))
			f.Close()
			if err != nil && !errors.Is(err, ErrFormat) || err == nil && len(ts) != 11 {
				t.Fatalf("%s, read %d: %d tensors, %v", name, n, len(ts), err)
			}
			if s.n > 0 { // it was never truncated
				break
			}
			if err != nil {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: never refused", name)
		}
	}
}

// What is no regular file is refused at once: a pipe would wait for ever, a device never ends.
func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	pipe, loop := filepath.Join(dir, "pipe"), filepath.Join(dir, "loop")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		pipe: "not a regular file", "/dev/zero": "not a regular file", dir: "it is a folder", loop: "too many levels",
	} {
		_, _, err := OpenTorch(path)
		_, _, err2 := ReadSafetensors(path)
		for _, err := range []error{err, err2} {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v, want %q", path, err, want)
			}
		}
	}
}

// A file with holes takes no room on the disk, whatever its size: what it would take in memory is refused.
func TestSparse(t *testing.T) {
	const size = 1 << 40
	header := fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size, size)
	for name, head := range map[string]string{"a.safetensors": string(file(header, 0)), "a.pt": legacyMagic, "b.pt": ""} {
		path := filepath.Join(t.TempDir(), name)
		if err := errors.Join(os.WriteFile(path, []byte(head), 0o600), os.Truncate(path, int64(len(head))+size)); err != nil {
			t.Fatal(err)
		}
		var err error
		used := allocated(func() {
			if strings.HasSuffix(name, ".pt") {
				_, _, err = OpenTorch(path)
			} else {
				_, _, err = ReadSafetensors(path)
			}
		})
		if !errors.Is(err, ErrFormat) || used > 10<<20 {
			t.Errorf("%s: %v, allocated %d MB", name, err, used>>20)
		}
	}
}
