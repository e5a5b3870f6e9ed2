package fit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/models"
)

// Whatever would make a fit fail at its end is found before the first frame is read.
func TestRunRefusesBeforeItReads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.fit"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"not a directory":            func(o *Options) { o.Out = filepath.Join(file, "bundle") },
		"holds no bundle":            func(o *Options) { o.Out = dir },
		"write state":                func(o *Options) { o.Out = filepath.Join(dir, "state") },
		"models.name":                func(o *Options) { o.Name = "My.Bundle" },
		"models.encoder.size.width":  func(o *Options) { o.Size = models.Size{Width: 100, Height: 64} },
		"models.encoder.size.height": func(o *Options) { o.Size = models.Size{Width: 64} },
	} {
		opt := quick(t, filepath.Join(t.TempDir(), "out"))
		opt.Sources = []ingest.Source{yard{frames: 1, at: func(int) { t.Errorf("%s: a frame was read", want) }}}
		change(&opt)
		if _, err := Run(t.Context(), opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Run() = %v, want %q", err, want)
		}
		if _, err := os.Stat(stateDir(opt.Out)); err == nil && opt.Out != filepath.Join(dir, "state") {
			t.Errorf("%s: a state is left", want)
		}
	}
}

// A working size larger than the frames gives more tokens, in the bundle and whenever it is used.
func TestSizeEnlarges(t *testing.T) {
	var notes []string
	plain := quick(t, filepath.Join(t.TempDir(), "plain"))
	plain.Bundle.Manifest.Encoder.Size = models.Size{Width: 512, Height: 256}
	plain.Progress = func(p Progress) {
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
	}
	small := mustRun(t, plain)
	if all := strings.Join(notes, "|"); !strings.Contains(all, "frames of 128x64 give") || !strings.Contains(all, "--size 512x256") {
		t.Errorf("notes %q", notes)
	}
	opt := quick(t, filepath.Join(t.TempDir(), "large"))
	opt.Size = models.Size{Width: 512, Height: 256}
	large := mustRun(t, opt)
	if large.Tokens != 16*small.Tokens {
		t.Errorf("%d tokens, want 16 times %d", large.Tokens, small.Tokens)
	}
	b := openBundle(t, opt.Out)
	if e := b.Manifest.Encoder; e.Size != opt.Size || !e.Enlarge {
		t.Errorf("encoder %+v", e)
	}
	if w, h := detector.FitSize(128, 64, b.Manifest.Encoder); w != 512 || h != 256 {
		t.Errorf("frames are encoded at %dx%d", w, h)
	}
}
