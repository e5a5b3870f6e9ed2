package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/oodcast/oodcast/detector/eval"
	"github.com/oodcast/oodcast/ingest/ingesttest"
	"github.com/oodcast/oodcast/models"
)

// A bundle that was fitted to some normal footage of a fixed camera marks objects that do not belong there. The objects are
// real photographs pasted into real footage at known places and times.
func TestFitFindsPastedObjects(t *testing.T) {
	dir := t.TempDir()
	const clean, stride, count = 240, 12, 24 // the clip's first 24 s are normal; later frames are judged
	clip := filepath.Join(dir, "normal.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, clean, nil)
	labelled := filepath.Join(dir, "labelled")
	places := ingesttest.Places(1, 8, 0, count*stride)
	ingesttest.WriteLabelledFolder(t, labelled, demoClip(t), 400, count*stride, stride, places)

	bundle := filepath.Join(dir, "bundle")
	must(t, "fit", "--bundle", models.Embedded, "--source", clip, "--out", bundle, "--steps", "150")
	scores := filepath.Join(dir, "scores")
	must(t, "score", "--bundle", bundle, filepath.Join(labelled, "images"), "--out", scores, "--format", "npy")
	out := must(t, "eval", "--dataset", "folder", "--root", labelled, "--scores", scores, "--json", "-")
	var rows []eval.Result
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	r := rows[0]
	t.Logf("%d images, %.2f %% anomalous: AP %.3f, AUROC %.3f, FPR95 %.3f", r.Images, 100*r.OODShare, r.AP, r.AUROC, r.FPR95)
	if r.AUROC < 0.85 || r.Images != count {
		t.Errorf("AUROC %.3f over %d images, want at least 0.85 over %d", r.AUROC, r.Images, count)
	}
}

// After kill -9, the same fit command continues from the last checkpoint.
func TestFitResumesAfterKill(t *testing.T) {
	dir := t.TempDir()
	clip := filepath.Join(dir, "normal.avi")
	ingesttest.WriteLabelled(t, clip, demoClip(t), 0, 30, nil)
	bundle := filepath.Join(dir, "bundle")
	args := []string{
		"fit", "--bundle", models.Embedded, "--source", clip, "--out", bundle, "--steps", "100000", "--batch", "512",
	}
	p := start(t, args...)
	waitForCheckpoint(t, p, bundle)
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if _, err := models.Open(bundle); err == nil {
		t.Error("a killed fit left a bundle that claims to be complete")
	}

	p = start(t, args...)
	waitForStderr(t, p, "continuing after step")
	waitForStderr(t, p, "train  loss")
	if code, _ := p.stop(t, os.Interrupt); code != exitDone { // Ctrl-C calibrates the denoiser as it is
		t.Fatalf("exit code %d after Ctrl-C", code)
	}
	must(t, "models", "verify", bundle)
	must(t, "run", "--bundle", bundle, "--source", clip, "--max-frames", "2", "--http", "off", "--nats", "off")
}

// waitForCheckpoint waits until the training state has been written twice: then there is progress to lose.
func waitForCheckpoint(t *testing.T, p *process, out string) {
	t.Helper()
	state := filepath.Join(out+".fit", "training.bin")
	var seen time.Time
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if st, err := os.Stat(state); err == nil {
			if !seen.IsZero() && st.ModTime().After(seen) {
				return
			}
			if seen.IsZero() {
				seen = st.ModTime()
			}
		}
		select {
		case <-p.done:
			t.Fatalf("fit ended: %s", p.stderr.String())
		case <-time.After(200 * time.Millisecond):
		}
	}
	t.Fatal("fit wrote no checkpoint")
}

func waitForStderr(t *testing.T, p *process, sub string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		if strings.Contains(p.stderr.String(), sub) {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("fit ended before it printed %q: %s", sub, p.stderr.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("fit did not print %q: %s", sub, p.stderr.String())
}
