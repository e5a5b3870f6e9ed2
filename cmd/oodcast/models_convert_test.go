package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/precision"
	"github.com/oodcast/oodcast/models"
)

// models convert writes a bundle that scores, and a report about it.
func TestModelsConvert(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 9, true)
	normal, out := filepath.Join(dir, "images"), filepath.Join(dir, "new")
	var r precision.Report
	text := must(t, "models", "convert", models.Embedded, "--fp16", "--normal", normal, "--check", dir, "--out", out, "--json", "-")
	if err := json.Unmarshal([]byte(text), &r); err != nil || r.Labelled == "" || r.Before.Labelled.AP <= 0 || r.After.EncoderBytes == 0 {
		t.Errorf("%v: %s", err, text)
	}
	if text = must(t, "score", filepath.Join(normal, "a.png"), "--bundle", out, "--out", filepath.Join(dir, "scores")); strings.Contains(text, "error") {
		t.Error(text)
	}
}

func TestModelsConvertRefuses(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 2, false)
	normal, out := filepath.Join(dir, "images"), filepath.Join(dir, "new")
	for name, c := range map[string]struct {
		code int
		args []string
		want string
	}{
		"no precision":   {exitUsage, []string{"--normal", normal}, "--fp16"},
		"two precisions": {exitUsage, []string{"--normal", normal, "--fp16", "--int8"}, "can't be used together"},
		"a live source":  {exitUsage, []string{"--fp16", "--normal", "rtsp://user:secret@192.0.2.1/x"}, "--normal rtsp://"},
		"no labels":      {exitUsage, []string{"--fp16", "--normal", normal, "--check", normal}, "--check: "},
		"few frames":     {exitFailed, []string{"--fp16", "--normal", normal}, "2 frames, want at least 8"},
	} {
		code, _, stderr := oodcast(t, append([]string{"models", "convert", models.Embedded, "--out", out}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Contains(stderr, "secret") {
			t.Errorf("%s: exit code %d, want %d\n%s", name, code, c.code, stderr)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}
