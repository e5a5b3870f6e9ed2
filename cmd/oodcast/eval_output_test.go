package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval"
)

// Score files give the same output as a bundle: components, metrics of each image, the report. --fast marks its rows.
func TestEvalReportOfScoreFiles(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, dir, 3, true)
	scores, out := filepath.Join(dir, "scores"), filepath.Join(dir, "report")
	must(t, "score", filepath.Join(dir, "images"), "--out", scores, "--format", "npy", "--timesteps", "1", "--quiet")
	images := filepath.Join(dir, "images.json")
	args := []string{"eval", "--dataset", "folder", "--root", dir, "--scores", scores, "--json", "-"}
	exact := evalRows(t, must(t, append(args, "--report", out, "--per-image", images)...))[0]
	if c := exact.Components; c == nil || c.Truth != 3 || c.Sizes.Predicted != 500 || exact.Binned {
		t.Errorf("exact row %+v, components %+v", exact, exact.Components)
	}
	page, err := os.ReadFile(filepath.Join(out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), "<img src=\"data:image/"); n != 9 || strings.Contains(string(page), "http") {
		t.Errorf("the page has %d pictures, want 9 and no link to the outside", n)
	}
	raw, err := os.ReadFile(images)
	if err != nil {
		t.Fatal(err)
	}
	var rows []eval.ImageResults
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 || rows[0].Method != "scores" || len(rows[0].Images) != 3 || rows[0].Images[0].AP == nil {
		t.Errorf("--per-image wrote %s", raw)
	}
	fast := evalRows(t, must(t, append(args, "--fast", "--no-components")...))[0]
	if d := fast.AP - exact.AP; !fast.Binned || fast.Components != nil || d > 1e-3 || d < -1e-3 {
		t.Errorf("fast row %+v, exact %+v", fast, exact)
	}
}

// --paper-tables takes rows from files, and computes rows for the data sets below --root.
func TestEvalPaperTables(t *testing.T) {
	dir := t.TempDir()
	picturesOf(t, filepath.Join(dir, "roadanomaly21"), 2, true)
	rows := filepath.Join(dir, "rows.json")
	made := must(t, "eval", "--paper-tables", "--root", dir, "--limit", "1", "--json", rows)
	for _, want := range []string{"Fig. 5", "Fig. 6", "Sec. 6.5", "Table 2", "Table 3", "RoadAnomaly21 val *", "encoder efficientvit-seg"} {
		if !strings.Contains(made, want) {
			t.Errorf("--paper-tables lacks %q:\n%s", want, made)
		}
	}
	if again := must(t, "eval", "--paper-tables", "--from", rows); again != made {
		t.Errorf("--from prints\n%s\nand the run that wrote the rows\n%s", again, made)
	}
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`[{"dataset":"fs_static"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"neither files nor sets": {"eval", "--paper-tables"},
		"no set below the root":  {"eval", "--paper-tables", "--root", filepath.Join(dir, "roadanomaly21")},
		"no rows":                {"eval", "--paper-tables", "--from", bad},
		"a report of tables":     {"eval", "--paper-tables", "--from", rows, "--report", dir},
	} {
		if code, _, stderr := oodcast(t, args...); code != exitUsage || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit code %d, %q; want %d and one line", name, code, stderr, exitUsage)
		}
	}
}
