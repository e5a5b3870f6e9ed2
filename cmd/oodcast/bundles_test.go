package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/configs"
	"github.com/oodcast/oodcast/detector/ort/orttest"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/graph"
)

// Where the default bundle is not installed, the one inside the program serves, and every verb says so once.
func TestDefaultBundleNotInstalled(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(models.EnvFolders, folder)
	clip := filepath.Join(t.TempDir(), "clip.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 3, nil)
	const note = "the bundle roadscene is not installed, the small roadscene-s serves in its place"
	for _, args := range [][]string{
		{"run", "--source", clip, "--http", "off", "--nats", "off", "--exit-on-end"},
		{"score", clip, "--out", t.TempDir(), "--format", "json"},
		{"models", "list"},
		{"models", "verify"},
		{"models", "show"},
		{"doctor"},
	} {
		code, stdout, stderr := oodcast(t, args...)
		if out := stdout + stderr; code != exitDone || strings.Count(out, note) != 1 || !strings.Contains(out, folder) {
			t.Errorf("%s: exit %d, %s; want the note once, with %s", strings.Join(args, " "), code, out, folder)
		}
		if args[0] == "run" && !strings.Contains(stdout, "bundle roadscene-s") {
			t.Errorf("run names another bundle than the one that serves: %s", stdout)
		}
	}
	var findings []configs.Finding
	if err := json.Unmarshal([]byte(must(t, "doctor", "--json", "-")), &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.What == "bundle" && f.Verdict == configs.Note && strings.Contains(f.Detail, note) {
			return
		}
	}
	t.Errorf("doctor: %+v", findings)
}

func TestBundleNotInstalled(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(models.EnvFolders, folder)
	for _, name := range []string{models.Large, models.General} {
		code, _, stderr := oodcast(t, "models", "verify", name)
		if code != exitUsage || !strings.Contains(stderr, "it is not installed; make deps") || !strings.Contains(stderr, folder) ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q", name, code, stderr)
		}
	}
}

// The list says where a bundle is, and everything that a user needs to know before choosing one.
func TestModelsListInstalled(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(models.EnvFolders, folder)
	m := installGeneral(t, folder)
	m.Provenance = map[string]any{
		models.PurposeKey: "yards", models.SpeedKey: 12.5, models.TrainedOnKey: "gravel", models.LicenceKey: "MIT",
	}
	rewrite(t, filepath.Join(folder, models.General), m)
	out := must(t, "models", "list")
	for _, want := range []string{
		models.General, filepath.Join(folder, models.General), "encoder only: run oodcast fit", "inside the program", "0.0 MB",
		"for: yards; speed: 12.5 ms a frame; encoder trained on: gravel; licence: MIT",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("list wrote %s, want %q in it", out, want)
		}
	}
	var list []listed
	if err := json.Unmarshal([]byte(must(t, "models", "list", "--json", "-")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].Path != models.General || list[0].From != filepath.Join(folder, models.General) ||
		list[0].Speed == "" || list[1].Path != models.Embedded || list[1].From != "" {
		t.Errorf("list %+v", list)
	}
}

// installGeneral installs a small encoder as the general bundle.
func installGeneral(t *testing.T, folder string) models.Manifest {
	t.Helper()
	m := models.DefaultManifest()
	m.Name, m.Encoder = models.General, orttest.Spec()
	m.Encoder.Architecture, m.Encoder.Classes = "efficientnet-lite", nil
	m.Compound.Rule = models.RuleStandardised
	m.Provenance = map[string]any{models.PurposeKey: "fits"}
	raw, err := orttest.MeanEncoder()
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := graph.Parse(raw)
	if err == nil {
		err = encoder.KeepOutputs("features")
	}
	if err == nil {
		err = models.Write(filepath.Join(folder, models.General), m, map[string][]byte{models.EncoderFile: encoder.Marshal()})
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rewrite replaces the manifest of a bundle.
func rewrite(t *testing.T, dir string, m models.Manifest) {
	t.Helper()
	b, err := models.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := b.Encoder()
	if err == nil {
		err = models.Write(dir, m, map[string][]byte{models.EncoderFile: encoder})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A fit takes the general bundle and whitens its features, unless told otherwise.
func TestFitTakesTheGeneralBundle(t *testing.T) {
	folder, dir := t.TempDir(), t.TempDir()
	t.Setenv(models.EnvFolders, folder)
	clip := filepath.Join(dir, "clip.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 12, nil)
	fitted := func(args ...string) (b *models.Bundle, whitened bool, stderr string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "mine")
		code, stdout, stderr := oodcast(t, append([]string{
			"fit", "--source", clip, "--out", out, "--steps", "4", "--batch", "64", "--size", "128x64",
		}, args...)...)
		if code != exitDone {
			t.Fatalf("exit %d: %s%s", code, stdout, stderr)
		}
		b, err := models.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		_, whitened = b.Provenance["whitening"]
		return b, whitened, stderr
	}
	b, whitened, stderr := fitted()
	if b.Name != models.Embedded || whitened || !strings.Contains(stderr, "roadscene-s serves in its place") || !strings.Contains(stderr, folder) {
		t.Errorf("without the general bundle: %s, whitened %v, %s", b.Name, whitened, stderr)
	}
	installGeneral(t, folder)
	if b, whitened, stderr = fitted(); b.Name != models.General || !whitened || strings.Contains(stderr, "serves") ||
		b.Manifest.Encoder.Channels != 4 {
		t.Errorf("with it: %s, whitened %v, %s", b.Name, whitened, stderr)
	}
	if about := b.About(); about.Purpose != "" || about.FittedOn == "" {
		t.Errorf("a fitted bundle claims to be for fits: %+v", about)
	}
	if b, whitened, _ = fitted("--whiten=false"); b.Name != models.General || whitened {
		t.Errorf("--whiten=false: %s, whitened %v", b.Name, whitened)
	}
	if b, whitened, _ = fitted("--drop-components", "1"); b.Manifest.Encoder.Channels != 5 || !whitened {
		t.Errorf("--drop-components 1: %d channels", b.Manifest.Encoder.Channels)
	}
	if b, whitened, _ = fitted("--bundle", models.Embedded); b.Name != models.Embedded || whitened {
		t.Errorf("--bundle: %s, whitened %v", b.Name, whitened)
	}
	if b, whitened, _ = fitted("--bundle", models.Embedded, "--whiten"); !whitened {
		t.Errorf("--whiten: %s, whitened %v", b.Name, whitened)
	}
}

// The published weights leave a bundle and come back.
func TestModelsStripAndAssemble(t *testing.T) {
	weights := filepath.Join("..", "..", ".deps", "efficientnet-lite0.pth")
	if _, err := os.Stat(weights); err != nil {
		t.Skip("SKIPPED: no bundle was stripped of the published EfficientNet-Lite weights: run make deps")
	}
	weights, err := filepath.Abs(weights)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole, part, again := filepath.Join(dir, "whole"), filepath.Join(dir, "part"), filepath.Join(dir, "again")
	must(t, "models", "import", "efficientnet-lite", weights, "--out", whole, "--size", "128x64")
	if out := must(t, "models", "strip", whole, "--weights", weights, "--out", part); !strings.Contains(out, "without 9.3 MB") {
		t.Errorf("strip wrote %q", out)
	}
	if out := must(t, "models", "assemble", part, "--weights", weights, "--out", again); !strings.Contains(out, "checksums right") {
		t.Errorf("assemble wrote %q", out)
	}
	if out := must(t, "models", "verify", again); !strings.Contains(out, "outputs right on cpu") {
		t.Errorf("verify wrote %q", out)
	}
}

func TestModelsPartsRefuse(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name, want string
		args       []string
	}{
		{"no weights", "--weights", []string{"strip", models.Embedded, "--out", dir}},
		{"no file", "no such file", []string{"strip", models.Embedded, "--weights", dir + "/none.pth", "--out", dir}},
		{"no bundle", "neither a folder nor", []string{"strip", "none", "--weights", dir + "/none.pth", "--out", dir}},
		{"no part", "bundle.yaml: no such file", []string{"assemble", dir, "--weights", dir + "/none.pth", "--out", dir}},
	} {
		code, _, stderr := oodcast(t, append([]string{"models"}, tt.args...)...)
		if code != exitUsage || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q; want %q", tt.name, code, stderr, tt.want)
		}
	}
}
