package models

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oodcast/oodcast/models/checkpoint"
)

func manifest() Manifest {
	m := DefaultManifest()
	m.Name = "test"
	m.Encoder = EncoderSpec{
		Architecture: "efficientvit-seg", Features: "head@16", Channels: 32, Stride: 16, LogitsStride: 8,
		Classes: []string{"road", "sky"}, Size: Size{Width: 64, Height: 32},
	}
	m.Provenance = map[string]any{"source": "made up"}
	return m
}

// complete returns a bundle with a denoiser. Its files are real only as far as this package reads them.
func complete(t *testing.T) (Manifest, map[string][]byte) {
	t.Helper()
	m := manifest()
	m.Denoiser = &DenoiserConfig{
		Channels: 32, Width: 32, Groups: 8, Blocks: [3]int{1, 0, 1}, Time: "sinusoidal",
	}
	weights, err := checkpoint.MarshalSafetensors(
		checkpoint.Tensors{"w": {Name: "w", Shape: []int{1}, Data: []float32{2}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, map[string][]byte{
		EncoderFile: []byte("onnx"), DenoiserFile: weights, CalibrationFile: []byte("{}"), CardFile: []byte("# card"),
	}
}

func TestWriteOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "bundle")
	m, files := complete(t)
	if err := Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Files = b.Files
	if d := cmp.Diff(m, b.Manifest); d != "" {
		t.Errorf("manifest: %s", d)
	}
	if raw, err := b.Encoder(); err != nil || string(raw) != "onnx" {
		t.Errorf("Encoder() = %q, %v", raw, err)
	}
	if ts, err := b.Denoiser(); err != nil || ts["w"] == nil {
		t.Errorf("Denoiser() = %v, %v", ts, err)
	}
	if raw, err := b.Calibration(); err != nil || string(raw) != "{}" {
		t.Errorf("Calibration() = %q, %v", raw, err)
	}
	if _, err := b.ReadFile("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile(nothing): %v", err)
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	m, files := complete(t)
	if err := Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fit.state"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(files, CardFile)
	m.Version = "2"
	if err := Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir)
	if err != nil || b.Version != "2" {
		t.Fatalf("Open() = %v, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(dir, CardFile)); err == nil {
		t.Error("a file of the old bundle is still there")
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "fit.state")); err != nil || string(raw) != "half" {
		t.Errorf("a file that the old bundle did not list: %q, %v", raw, err)
	}
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) != 1 {
		t.Errorf("left next to the bundle: %v, %v", left, err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "diary.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(other, m, files); err == nil || !strings.Contains(err.Error(), "holds no bundle") {
		t.Errorf("Write over a foreign folder: %v", err)
	}
}

func TestEncoderOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := Write(dir, manifest(), map[string][]byte{EncoderFile: []byte("onnx")}); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir)
	if err != nil || !b.EncoderOnly() {
		t.Fatalf("Open() = %v, %v", b, err)
	}
	if _, err := b.Denoiser(); !errors.Is(err, ErrEncoderOnly) || !strings.Contains(err.Error(), "oodcast fit") {
		t.Errorf("Denoiser(): %v", err)
	}
	if _, err := b.Calibration(); !errors.Is(err, ErrEncoderOnly) {
		t.Errorf("Calibration(): %v", err)
	}
}

// A bundle whose denoiser has no calibration opens if its manifest says why, and its calibration is an error.
func TestUncalibrated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bundle")
	m, files := complete(t)
	delete(files, CalibrationFile)
	m.Uncalibrated = "no light"
	if err := Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Denoiser(); err != nil {
		t.Errorf("Denoiser(): %v", err)
	}
	if _, err := b.Calibration(); !errors.Is(err, ErrUncalibrated) || !strings.Contains(err.Error(), "no light") {
		t.Errorf("Calibration(): %v, want ErrUncalibrated and the reason", err)
	}
}

func TestMapStride(t *testing.T) {
	for stride, want := range map[int]int{4: 4, 8: 8, 14: 14, 16: 8, 32: 8} {
		if got := MapStride(stride); got != want {
			t.Errorf("MapStride(%d) = %d, want %d", stride, got, want)
		}
	}
}

func TestAbout(t *testing.T) {
	m := manifest()
	m.Provenance = map[string]any{
		PurposeKey: "a yard", LicenceKey: "MIT", "fit": map[string]any{"sources": []any{"a.mp4", "b/"}}, TrainedOnKey: 3,
	}
	if got, want := m.About().String(), "for: a yard; fitted on: a.mp4, b/; licence: MIT"; got != want {
		t.Errorf("About() = %q, want %q", got, want)
	}
	for want, speed := range map[string]any{"speed: 71 ms a frame": 71, "speed: 70.5 ms a frame": 70.5, "speed: 9 ms on a GPU": "9 ms on a GPU", "": true} {
		m.Provenance = map[string]any{SpeedKey: speed}
		if got := m.About().String(); got != want {
			t.Errorf("About() = %q, want %q", got, want)
		}
	}
	if b, err := Open(Embedded); err != nil || b.About().Purpose == "" || b.About().Licence == "" || b.About().TrainedOn == "" {
		t.Errorf("the default bundle does not say what it is: %+v, %v", b.About(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	edit := func(name, was, now string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			path := filepath.Join(dir, name)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(raw), was, now, 1)
			if changed == string(raw) {
				t.Fatalf("%s does not hold %q", name, was)
			}
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name, want string
		is         error
		damage     func(*testing.T, string)
	}{
		{"one bit", "encoder.onnx: sha256", ErrCorrupt, edit(EncoderFile, "onnx", "onny")},
		{"truncated", "encoder.onnx: 3 bytes, want 4", ErrCorrupt, edit(EncoderFile, "onnx", "onn")},
		{"missing file", "denoiser.safetensors: no such file", ErrCorrupt, remove(DenoiserFile)},
		{"missing manifest", "has no bundle.yaml", ErrNotFound, remove(ManifestFile)},
		{"not listed", "does not list calibration.json", ErrCorrupt, edit(ManifestFile, "calibration.json:", "c.json:")},
		{"unknown key", "field colour not found", ErrCorrupt, edit(ManifestFile, "name: test", "name: test\ncolour: red")},
		{"newer", "models.format: got 2", ErrCorrupt, edit(ManifestFile, "format: 1", "format: 2")},
		{"two faults", "; models.name", ErrCorrupt, func(t *testing.T, dir string) {
			t.Helper()
			edit(ManifestFile, "name: test", "name: Test/..")(t, dir)
			edit(ManifestFile, "format: 1", "format: 0")(t, dir)
		}},
		{"traversal", `models.files: got "../encoder.onnx"`, ErrCorrupt, edit(ManifestFile, "encoder.onnx:", "../encoder.onnx:")},
		{"garbage", "yaml", ErrCorrupt, edit(ManifestFile, "format: 1", "\t{{")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "bundle")
			m, files := complete(t)
			if err := Write(dir, m, files); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, dir)
			_, err := Open(dir)
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir) {
				t.Fatalf("Open() = %v, want %v with %q", err, tt.is, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
	for _, path := range []string{"", "no-such-bundle", filepath.Join(t.TempDir(), "x")} {
		if _, err := Open(path); !errors.Is(err, ErrNotFound) {
			t.Errorf("Open(%q) = %v, want ErrNotFound", path, err)
		}
	}
	if _, err := Open("bundle_test.go"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Open(file) = %v, want ErrNotFound", err)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		edit func(*Manifest)
		want string
	}{
		{"valid", func(*Manifest) {}, ""},
		{
			"size", func(m *Manifest) { m.Encoder.Size.Width = 100 },
			"models.encoder.size.width: got 100, want a positive multiple of 32",
		},
		{
			"timestep twice", func(m *Manifest) { m.Diffusion.Timesteps = []int{3, 3} },
			"models.diffusion.timesteps: got 3, want each of 0 to 999 at most once",
		},
		{
			"no timesteps", func(m *Manifest) { m.Diffusion.Timesteps = nil },
			"models.diffusion.timesteps: got \"[]\", want at least one timestep",
		},
		{
			"noise", func(m *Manifest) { m.Diffusion.Noise = "loud" },
			`models.diffusion.noise: got "loud", want antithetic or independent or shared`,
		},
		{"one class", func(m *Manifest) { m.Encoder.Classes = []string{"road"} }, "models.encoder.classes: got 1, want at least 2 names, or none"},
		{"no classes", func(m *Manifest) { m.Encoder.Classes = nil }, ""},
		{"no classes, other maps", func(m *Manifest) {
			m.Encoder.Classes, m.Encoder.LogitsStride = nil, 4
		}, "models.encoder.logits_stride: got 4, want 8 without classes"},
		{"uncalibrated", func(m *Manifest) { m.Uncalibrated = "why" }, `models.uncalibrated: got "why", want nothing without a denoiser`},
		{"weight", func(m *Manifest) { m.Compound.LSEWeight = -1 }, "models.compound.lse_weight: got -1, want 0 to 1000"},
		{"motion", func(m *Manifest) { m.Compound.MotionWeight = -1 }, "models.compound.motion_weight: got -1, want 0 to 1000"},
		{"channels", func(m *Manifest) {
			m.Denoiser = &DenoiserConfig{Channels: 64, Width: 64, Groups: 8, Blocks: [3]int{1, 0, 1}, Time: "scalar"}
		}, "models.denoiser.channels: got 64, want the encoder's 32"},
		{
			"several", func(m *Manifest) { m.Normalise, m.Compound.Rule = "", "max" },
			"models.compound.rule: got \"max\", want standardised or min_max or gated or sized\n" +
				"models.normalise: got \"\", want per_channel or global",
		},
	}
	for _, tt := range tests {
		m := manifest()
		tt.edit(&m)
		got := ""
		if err := m.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: Validate() = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestEmbedded opens all embedded bundles: a release must not ship a damaged one.
func TestEmbedded(t *testing.T) {
	for _, name := range Names() {
		b, err := Open(name)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if b.Manifest.Name != name {
			t.Errorf("folder %q holds bundle %q", name, b.Manifest.Name)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	m := manifest()
	raw, err := m.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("format: 1\nname: x\n"))
	f.Add([]byte(strings.Replace(string(raw), "provenance:\n", "provenance:\n    a: &a [x, {y: .nan}]\n    b: &b [*a, *a]\n    c: {<<: {k: *b}}\n", 1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Errorf("it was parsed but is not valid: %v", err)
		}
		again, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(again); err != nil && len(again) <= maxManifest { // aliases are written out
			t.Errorf("what was written cannot be read: %v\n%s", err, again)
		}
	})
}

// The files of a bundle lie in its folder; a link that leads out of it is not followed, whatever its checksum.
func TestOpenFollowsNoLinkOut(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "bundle")
	m, files := complete(t)
	if err := Write(dir, m, files); err != nil {
		t.Fatal(err)
	}
	encoder := filepath.Join(dir, EncoderFile)
	for _, target := range []string{"../outside", filepath.Join(parent, "outside")} {
		if err := os.WriteFile(filepath.Join(parent, "outside"), files[EncoderFile], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(encoder); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, encoder); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("link to %s: %v", target, err)
		}
	}
	link := filepath.Join(parent, "link") // to the folder itself
	if err := os.Remove(encoder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(encoder, files[EncoderFile], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link); err != nil {
		t.Errorf("a link to the folder: %v", err)
	}
}

func TestNameOf(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("Here", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir("Here")
	for folder, want := range map[string]string{
		"My.Bundle": "my-bundle", "/x/segformer (b0) v1.2/": "segformer-b0-v1-2", "Straße 7": "stra-e-7", "_.x": "x",
		"日本": "bundle", ".": "here", "a_b-c": "a_b-c",
	} {
		if got := NameOf(folder); got != want || CheckName(got) != nil {
			t.Errorf("NameOf(%q) = %q, want %q", folder, got, want)
		}
	}
	if err := CheckName("My.Bundle"); err == nil || !strings.Contains(err.Error(), `such as "my-bundle"`) {
		t.Errorf("CheckName() = %v", err)
	}
}

// CheckFolder refuses what Write would refuse, and leaves nothing.
func TestCheckFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(full, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string]string{
		filepath.Join(dir, "file"): "not a directory", filepath.Join(dir, "file", "x"): "not a directory",
		full: "holds no bundle", "/proc/none/x": "no such file",
	} {
		if err := CheckFolder(out); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), out) {
			t.Errorf("CheckFolder(%q) = %v, want %q", out, err, want)
		}
	}
	if err := CheckFolder(filepath.Join(dir, "deep", "new")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "deep")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
