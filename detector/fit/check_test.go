package fit

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/detector/eval/dataset"
	"github.com/oodcast/oodcast/detector/eval/evaluator"
	"github.com/oodcast/oodcast/ingest"
	"github.com/oodcast/oodcast/ingest/opencv"
	"github.com/oodcast/oodcast/models"
)

// heldBack yields the frames of the yard that a fit of 60 frames does not train on.
func heldBack() []uint64 {
	var list []uint64
	for n := range uint64(60) {
		if n/blockFrames%blocksPerFit == blocksPerFit-1 {
			list = append(list, n)
		}
	}
	return list
}

// A fit checks itself on held-back frames with pasted things: the figures are those of the finished bundle on the same
// pictures, and stand in the provenance and in the model card, whitened or not.
func TestCheck(t *testing.T) {
	for _, whiten := range []bool{false, true} {
		opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
		opt.Whiten = whiten
		got := mustRun(t, opt).Check
		if got == nil || got.Images != 12 || got.Timesteps != 5 {
			t.Fatalf("check %+v, want 12 images at |T|=5", got)
		}
		want := evaluated(t, opt)
		if d := got.AP - want.AP; d > 1e-4 || d < -1e-4 || !(got.AP > 0.05) {
			t.Errorf("AP %v in the check, %v on the same pictures", got.AP, want.AP)
		}
		if d := got.FPR95 - want.FPR95; d > 1e-4 || d < -1e-4 {
			t.Errorf("FPR95 %v in the check, %v on the same pictures", got.FPR95, want.FPR95)
		}
		note, _ := openBundle(t, opt.Out).Provenance["fit"].(map[string]any)
		if text := fmt.Sprint(note["check"]); !strings.Contains(text, fmt.Sprintf("ap:%v", got.AP)) {
			t.Errorf("provenance %v", note)
		}
		line := fmt.Sprintf("on 12 frames AP %.1f, FPR95 %.1f at |T|=5 (seed 1)", 100*got.AP, 100*got.FPR95)
		if card := readFile(t, filepath.Join(opt.Out, models.CardFile)); !strings.Contains(card, line) {
			t.Errorf("the model card lacks %q:\n%s", line, card)
		}
	}
}

// evaluated writes the pictures of the check to files and evaluates the bundle on them.
func evaluated(t *testing.T, opt Options) eval.Result {
	t.Helper()
	paste, err := pasting(opt.Seed)
	if err != nil {
		t.Fatal(err)
	}
	set := &dataset.Dataset{Name: "folder", OOD: 1}
	dir := t.TempDir()
	for _, n := range heldBack() {
		f := yardFrame(n, 0, 0)
		labels, _ := paste.Paste(f.Pix, f.Width, f.Height, int(n))
		rgb := make([]byte, 0, 3*len(labels))
		for _, l := range labels {
			rgb = append(rgb, l, l, l)
		}
		it := dataset.Item{Name: fmt.Sprint(n), Image: filepath.Join(dir, fmt.Sprintf("%d.png", n)), Label: filepath.Join(dir, fmt.Sprintf("%d_mask.png", n))}
		for path, pix := range map[string][]byte{it.Image: f.Pix, it.Label: rgb} {
			if err := opencv.WriteImage(path, f.Width, f.Height, pix); err != nil {
				t.Fatal(err)
			}
		}
		set.Items = append(set.Items, it)
	}
	e, err := evaluator.Open(openBundle(t, opt.Out), evaluator.Options{Seed: 1, ORT: opt.ORT})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	rows, err := e.Rows([]string{"dood"}, []int{5})
	if err != nil {
		t.Fatal(err)
	}
	table, err := e.Dataset(t.Context(), set, opencv.ReadStored, rows, eval.Options{FPR: eval.FPRNearest, Binned: true})
	if err != nil {
		t.Fatal(err)
	}
	return table[0].Result
}

// Footage without held-back frames is not checked, which is said; nor is a fit that is told not to. Of many frames a sample is
// checked.
func TestCheckOfFewAndManyFrames(t *testing.T) {
	for _, tt := range []struct {
		frames, check, want int
		note                string
	}{
		{frames: 14, check: 20, note: "too few frames were held back: 0, want at least 4"},
		{frames: 60, check: 0},
		{frames: 60, check: 5, want: 5},
	} {
		opt := quick(t, filepath.Join(t.TempDir(), "fitted"))
		opt.Steps, opt.Check, opt.Sources = 10, tt.check, []ingest.Source{yard{frames: tt.frames}}
		var notes []string
		opt.Progress = func(p Progress) {
			if p.Note != "" {
				notes = append(notes, p.Note)
			}
		}
		images := 0
		if c := mustRun(t, opt).Check; c != nil {
			images = c.Images
		}
		text := strings.Join(notes, "; ")
		if images != tt.want || !strings.Contains(text, tt.note) || strings.Contains(text, "no check") != (tt.note != "") {
			t.Errorf("%d frames, check %d: %d images, notes %q", tt.frames, tt.check, images, text)
		}
	}
}
