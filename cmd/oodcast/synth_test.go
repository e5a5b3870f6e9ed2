package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/synth"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
)

// synth makes a set that eval reads, on its own and beside others, and a fit tells how well it finds things in frames of its
// own footage.
func TestSynthAndCheck(t *testing.T) {
	dir := t.TempDir()
	clip, made := filepath.Join(dir, "normal.avi"), filepath.Join(dir, "sets", "made")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 60, nil)
	var res synth.Written
	out := must(t, "synth", "--source", clip, "--out", made, "--count", "3", "--kinds", "object,noise", "--min-size", "40", "--json", "-")
	if err := json.Unmarshal([]byte(out), &res); err != nil || res.Images != 3 || res.Frames != 60 || res.Things[synth.KindBlur] > 0 {
		t.Errorf("%s, %v", out, err)
	}
	if rows := evalRows(t, must(t, "eval", "--dataset", "folder", "--root", made, "--method", "lse", "--json", "-")); rows[0].Images != 3 || !(rows[0].AP > rows[0].OODShare) {
		t.Errorf("%+v", rows[0])
	}
	if out := must(t, "eval", "--sets", filepath.Dir(made), "--method", "lse"); !strings.Contains(out, "made (3)") {
		t.Errorf("eval --sets prints\n%s", out)
	}
	fitted := must(t, "fit", "--bundle", models.Default, "--source", clip, "--out", filepath.Join(dir, "fitted"), "--steps", "20", "--check", "6")
	if !strings.Contains(fitted, "on 6 of your frames with pasted objects: AP ") || !strings.Contains(fitted, "(|T|=5)") {
		t.Errorf("fit prints\n%s", fitted)
	}
	if out := must(t, "fit", "--bundle", models.Default, "--source", clip, "--out", filepath.Join(dir, "other"), "--steps", "20", "--no-check"); strings.Contains(out, "pasted") {
		t.Errorf("fit --no-check prints\n%s", out)
	}
}

func TestSynthRefuses(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 2, false)
	normal, empty := filepath.Join(dir, "images"), filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a full folder":   {[]string{"--source", normal, "--out", normal}, "the folder is not empty"},
		"a live source":   {[]string{"--source", "rtsp://user:secret@192.0.2.1/x", "--out", empty}, "never ends: record some of it"},
		"an unknown kind": {[]string{"--source", normal, "--out", empty, "--kinds", "cat"}, `synth.kinds: got "cat", want of object`},
		"no picture":      {[]string{"--source", normal, "--out", empty, "--count", "0"}, "--count: got 0, want 1 or more"},
		"sizes":           {[]string{"--source", normal, "--out", empty, "--max-size", "5"}, "synth.max_size: got 5"},
		"no object":       {[]string{"--source", normal, "--out", empty, "--objects", empty}, "it holds no .png"},
		"no footage":      {[]string{"--source", filepath.Join(dir, "absent.mp4"), "--out", empty}, "absent.mp4"},
	} {
		code, _, stderr := oodcast(t, append([]string{"synth"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "secret") {
			t.Errorf("%s: exit code %d, %q; want %d and %q", name, code, stderr, exitUsage, c.want)
		}
	}
}
