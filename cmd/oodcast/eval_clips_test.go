package main

import (
	"encoding/json"
	"image"
	"image/color"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/oodcast/oodcast/detector/eval/clips"
)

// eval measures a folder of clips as the field does, prints the figures, and the same command prints the same.
func TestEvalClips(t *testing.T) {
	dir := t.TempDir()
	for i := range 8 {
		pic, mask := image.NewRGBA(image.Rect(0, 0, 128, 96)), image.NewGray(image.Rect(0, 0, 128, 96))
		for p := range 128 * 96 {
			x, y := p%128, p/128
			c := color.RGBA{uint8(x), uint8(2 * y), uint8(x + y), 255}
			if i >= 4 && x > 40 && x < 80 && y > 30 && y < 70 {
				c = color.RGBA{255, uint8(37 * x * y), 255, 255}
				mask.SetGray(x, y, color.Gray{Y: 255})
			}
			pic.SetRGBA(x, y, c)
		}
		name := strconv.Itoa(i) + ".png"
		writePNG(t, filepath.Join(dir, "test", "a", name), pic)
		writePNG(t, filepath.Join(dir, "test_masks", "a", name), mask)
	}
	args := []string{"eval", "--dataset", "folder", "--root", dir, "--method", "dood,dood-diffusion", "--timesteps", "1", "--seed", "1", "--json", "-"}
	out := must(t, args...)
	var rows []clips.Result
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Frames != 8 || rows[0].Frame.Share != 0.5 || rows[0].Pixel == nil || !(rows[0].Pixel.AUROC > 0) ||
		rows[0].Regions == nil || rows[0].Regions.Tracks != 1 || rows[0].Events == nil || rows[0].LatencyMS != nil {
		t.Errorf("%+v", rows)
	}
	if again := must(t, args...); again != out {
		t.Errorf("a second run prints\n%s\nafter\n%s", again, out)
	}
	table := must(t, "eval", "--dataset", "ped2", "--root", dir, "--timesteps", "1")
	for _, want := range []string{"frame AUROC", "RBDC", "false/h", "ped2"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no clip":        {[]string{"--dataset", "avenue", "--root", filepath.Join(dir, "test")}, "no labelled clip found"},
		"score files":    {[]string{"--dataset", "ped2", "--root", dir, "--scores", dir}, "leave out --scores"},
		"a wrong rate":   {[]string{"--dataset", "ped2", "--root", dir, "--fps=-1"}, "--fps: got -1"},
		"a wrong region": {[]string{"--dataset", "ped2", "--root", dir, "--min-area", "2"}, "--min-area: got 2"},
	} {
		if code, _, stderr := oodcast(t, append([]string{"eval"}, c.args...)...); code != exitUsage || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", name, code, stderr, exitUsage, c.want)
		}
	}
}
