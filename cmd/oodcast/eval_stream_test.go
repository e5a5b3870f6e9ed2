package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval/stream"
	"github.com/oodcast/oodcast/ingest/ingesttest"
)

// A clip with a pasted photograph: the flags reach the evaluation, and with --latency-ms two runs write the same bytes.
func TestEvalStream(t *testing.T) {
	dir := t.TempDir()
	const frames = 10
	clip, truth := filepath.Join(dir, "clip.avi"), filepath.Join(dir, "truth")
	s := ingesttest.Stream{
		Source: demoClip(t), First: 400, Frames: frames, Foreground: ingesttest.VTestForeground(),
		Places: []ingesttest.Placement{{
			Object: "orange", From: 2, To: frames, Path: []ingesttest.Waypoint{{X: 0.2, Y: 0.8, Height: 0.2}, {X: 0.7, Y: 0.8, Height: 0.2}},
		}},
	}
	if _, err := s.Write(t.Context(), clip, truth, 1); err != nil {
		t.Fatal(err)
	}
	evaluate := func(args ...string) (string, stream.Result) {
		t.Helper()
		args = append([]string{"eval", "--stream", clip, "--fps", "10", "--timesteps", "1", "--json", "-"}, args...)
		out := must(t, args...)
		var rows []stream.Result
		if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		return out, rows[0]
	}
	first, row := evaluate("--truth", truth, "--latency-ms", "350", "--threshold", "5,6")
	if row.Stream != "clip.avi" || row.Bundle != "roadscene-s" || row.Frames != frames || row.Labelled != frames || row.Seconds != 1 ||
		row.LatencyMS != nil || row.Streaming.Scored > 0.5 || len(row.Sweep) != 2 || row.Events.Objects != 1 {
		t.Errorf("%+v, events %+v", row, row.Events)
	}
	if again, _ := evaluate("--truth", truth, "--latency-ms", "350", "--threshold", "5,6"); again != first {
		t.Error("two runs gave different JSON")
	}

	if _, carried := evaluate("--truth", truth, "--latency-ms", "350", "--carry", "400ms"); carried.Temporal.Flicker >= row.Temporal.Flicker {
		t.Errorf("carried maps flicker by %v, others by %v", carried.Temporal.Flicker, row.Temporal.Flicker)
	}

	times := filepath.Join(dir, "times")
	if err := os.WriteFile(times, []byte("0.2 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, byTime := evaluate("--truth", times); byTime.Level != stream.FrameLevel || byTime.LatencyMS == nil || byTime.Events.Objects != 1 {
		t.Errorf("%+v", byTime)
	}
}

func TestEvalStreamUsage(t *testing.T) {
	clip := demoClip(t)
	for want, args := range map[string][]string{
		"want --dataset and --root, or --stream and --truth": {"eval"},
		"--stream: want --truth":                             {"eval", "--stream", clip},
		"no mask (.png, .npy, .bmp, .tif, .jpg) in":          {"eval", "--stream", clip, "--truth", t.TempDir()},
		"a live stream has no truth":                         {"eval", "--stream", "camera:0", "--truth", t.TempDir()},
		"cannot be combined with --dataset":                  {"eval", "--stream", clip, "--truth", t.TempDir(), "--dataset", "folder"},
		"--carry: got 1m0s, want 0 to 10s":                   {"eval", "--stream", clip, "--truth", t.TempDir(), "--carry", "1m"},
		"--fps: got -1":                                      {"eval", "--stream", clip, "--truth", t.TempDir(), "--fps=-1"},
	} {
		code, _, stderr := oodcast(t, args...)
		if code != exitUsage || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("oodcast %s: exit code %d, %q; want %q", strings.Join(args, " "), code, stderr, want)
		}
	}
}
