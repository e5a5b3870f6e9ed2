package importer_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
	"github.com/oodcast/oodcast/models/importer"
	"github.com/oodcast/oodcast/models/nets"
)

// eachField calls f with the number, the whole and the value of each field, and joins the results.
func eachField(t *testing.T, b []byte, f func(num protowire.Number, whole, val []byte) []byte) []byte {
	t.Helper()
	var out []byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		m := protowire.ConsumeFieldValue(num, typ, b[max(n, 0):])
		if n < 0 || m < 0 {
			t.Fatal("broken message")
		}
		val := b[n : n+m]
		if typ == protowire.BytesType {
			val, _ = protowire.ConsumeBytes(val)
		}
		out = append(out, f(num, b[:n+m], val)...)
		b = b[n+m:]
	}
	return out
}

func field(num protowire.Number, val []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), val)
}

// saveExternal writes a model as torch.onnx.export does: every weight in a file of its own beside it.
func saveExternal(t *testing.T, path string, model []byte) (beside []string) {
	t.Helper()
	model = eachField(t, model, func(num protowire.Number, whole, val []byte) []byte {
		if num != 7 {
			return whole
		}
		return field(7, eachField(t, val, func(num protowire.Number, whole, val []byte) []byte {
			if num != 5 {
				return whole
			}
			return field(5, eachField(t, val, func(num protowire.Number, whole, val []byte) []byte {
				if num != 9 {
					return whole
				}
				name := filepath.Base(path) + "." + string(rune('a'+len(beside)))
				beside = append(beside, name)
				if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), val, 0o600); err != nil {
					t.Fatal(err)
				}
				entry := slices.Concat(field(1, []byte("location")), field(2, []byte(name)))
				return slices.Concat(field(13, entry), protowire.AppendVarint(protowire.AppendTag(nil, 14, protowire.VarintType), 1))
			}))
		}))
	})
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	return beside
}

// Weights beside the model become part of the bundle: it is the bundle of the same model with its weights inside, and
// needs neither those files nor a working directory.
func TestONNXExternalWeights(t *testing.T) {
	whole, features := export(t)
	cfg := nets.ForeignConfig{Features: features}
	model, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	beside := saveExternal(t, path, model)
	if len(beside) < 2 {
		t.Fatalf("files %v", beside)
	}
	opt, same := options(t), options(t)
	r, err := importer.ONNX(path, cfg, 32, opt)
	if err != nil {
		t.Fatal(err)
	}
	want, err := importer.ONNX(whole, cfg, 32, same)
	if err != nil {
		t.Fatal(err)
	}
	if r.Summary != want.Summary {
		t.Errorf("summary %q, want %q", r.Summary, want.Summary)
	}
	if sums, _ := r.Provenance["weights_files"].(map[string]string); len(sums) != len(beside) {
		t.Errorf("provenance %v", r.Provenance)
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	var golden [2][]byte
	for i, dir := range []string{opt.Out, same.Out} {
		b, err := models.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		check, err := ort.Runner{}.CheckGolden(b)
		if err != nil || check.Difference != 0 {
			t.Errorf("CheckGolden() = %+v, %v", check, err)
		}
		if golden[i], err = b.ReadFile(models.GoldenFile); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(golden[0], golden[1]) {
		t.Error("the golden outputs differ from those of the model with its weights inside")
	}
}

func TestONNXExternalRefused(t *testing.T) {
	whole, features := export(t)
	model, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.onnx")
	beside := saveExternal(t, path, model)
	if err := os.Remove(filepath.Join(filepath.Dir(path), beside[1])); err != nil {
		t.Fatal(err)
	}
	opt := options(t)
	_, err = importer.ONNX(path, nets.ForeignConfig{Features: features}, 32, opt)
	if want := `"` + beside[1] + `" is missing: copy it`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if _, err := os.Stat(opt.Out); err == nil {
		t.Error("a refused import left a folder")
	}
}

// A bundle whose encoder keeps weights in another file is never run, although all its checksums are right.
func TestBundleWithExternalWeights(t *testing.T) {
	whole, features := export(t)
	opt := options(t)
	if _, err := importer.ONNX(whole, nets.ForeignConfig{Features: features}, 32, opt); err != nil {
		t.Fatal(err)
	}
	b, err := models.Open(opt.Out)
	if err != nil {
		t.Fatal(err)
	}
	model, err := b.Encoder()
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	t.Chdir(work) // where ONNX Runtime would find the weights
	saveExternal(t, filepath.Join(work, "encoder.onnx"), model)
	if model, err = os.ReadFile("encoder.onnx"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "handmade")
	if err := models.Write(dir, b.Manifest, map[string][]byte{models.EncoderFile: model}); err != nil {
		t.Fatal(err)
	}
	if b, err = models.Open(dir); err != nil {
		t.Fatal(err)
	}
	if model, err = b.Encoder(); err != nil {
		t.Fatal(err)
	}
	err = ort.Runner{}.Run(model, func(models.EncodeFunc) error { return nil })
	if err == nil || !strings.Contains(err.Error(), graph.ErrExternal.Error()) {
		t.Errorf("error %v, want %v", err, graph.ErrExternal)
	}
}
