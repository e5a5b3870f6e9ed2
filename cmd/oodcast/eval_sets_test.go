package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval/sets"
)

// eval --sets evaluates every set of a folder, names what it leaves out, chooses settings and writes the same tables to a
// document; the same command writes the same bytes.
func TestEvalSets(t *testing.T) {
	dir := t.TempDir()
	root, doc := filepath.Join(dir, "sets"), filepath.Join(dir, "doc.md")
	for i, name := range []string{"one", "two", "roadanomaly21"} {
		picturesOf(t, filepath.Join(root, name), i+2, true)
	}
	if err := os.MkdirAll(filepath.Join(root, "clips"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(doc, []byte("# Mine\n<!-- begin here -->\n<!-- end here -->\nprose\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"eval", "--sets", root, "--method", "dood,lse", "--timesteps", "2", "--seed", "1", "--bootstrap", "20", "--limit", "3",
		"--choose", "compound.lse_weight=0,1", "--markdown", doc + "#here",
	}
	code, out, stderr := oodcast(t, args...)
	if code != exitDone || !strings.Contains(stderr, `left out: "clips" holds no labelled image`) {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"one (2)", "two (3)", "roadanomaly21 (3)", "geometric", "20 draws", "By size of the object", "of 2 settings", "compound.lse_weight="} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	first, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(first); !strings.HasPrefix(s, "# Mine\n<!-- begin here -->\n") || !strings.HasSuffix(s, "\n<!-- end here -->\nprose\n") || !strings.Contains(s, "| lse |") {
		t.Errorf("the document is\n%s", s)
	}
	var table sets.Table
	if err := json.Unmarshal([]byte(must(t, append(slices.Clone(args), "--json", "-")...)), &table); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(doc); err != nil || string(again) != string(first) {
		t.Errorf("a second run wrote\n%s\n%v", again, err)
	}
	if len(table.Sets) != 3 || len(table.Rows) != 2 || len(table.Choice.Sets) != 3 {
		t.Fatalf("%+v", table)
	}
	// The bundle's own weight is 1: the row of dood is that variant.
	for i, r := range table.Rows[0].Results {
		if left := table.Choice.Sets[i].ByMean; left.Variant == "compound.lse_weight=1" && left.AP != r.AP {
			t.Errorf("%s: AP %v as a setting, %v as a row", r.Dataset, left.AP, r.AP)
		}
		if r.Spread == nil || r.Spread.N != 20 || !r.Binned || r.LatencyMS != nil || r.Components == nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestEvalSetsRefuses(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "sets")
	picturesOf(t, filepath.Join(root, "one"), 1, true)
	picturesOf(t, filepath.Join(root, "two"), 1, true)
	picturesOf(t, filepath.Join(dir, "alone", "one"), 1, true)
	plain := filepath.Join(dir, "plain.md")
	if err := os.WriteFile(plain, []byte("prose\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no set":          {[]string{"--sets", filepath.Join(root, "one", "images")}, "no labelled image found in the folders of"},
		"one set":         {[]string{"--sets", filepath.Join(dir, "alone"), "--choose", "compound.lse_weight=0,1"}, "want two sets or more, got 1"},
		"an unknown key":  {[]string{"--sets", root, "--choose", "compound.wieght=0,1"}, `setting "compound.wieght=0": no such key`},
		"no value":        {[]string{"--sets", root, "--choose", "compound.lse_weight"}, "want KEY=VALUE,VALUE"},
		"a bad value":     {[]string{"--sets", root, "--variant", "compound.lse_weight=-1"}, "want 0 to 1000"},
		"needs a new fit": {[]string{"--sets", root, "--variant", "diffusion.noise=shared"}, "the calibration was measured without it"},
		"without sets":    {[]string{"--choose", "compound.lse_weight=0,1"}, "add --sets DIR"},
		"two modes":       {[]string{"--sets", root, "--dataset", "folder"}, "leave out --dataset"},
		"no block":        {[]string{"--sets", root, "--markdown", plain}, "no marked block: add the lines"},
	} {
		code, _, stderr := oodcast(t, append([]string{"eval"}, c.args...)...)
		last := stderr[strings.LastIndexByte(strings.TrimSuffix(stderr, "\n"), '\n')+1:]
		if code != exitUsage || !strings.Contains(last, c.want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", name, code, stderr, exitUsage, c.want)
		}
	}
}
