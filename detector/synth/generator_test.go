package synth_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/oodcast/oodcast/detector/synth"
)

var update = flag.Bool("update", false, "rewrite the golden file")

func generator(t *testing.T, objects []synth.Object, change func(*synth.Config)) *synth.Generator {
	t.Helper()
	cfg := synth.DefaultConfig()
	change(&cfg)
	g, err := synth.New(cfg, objects)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Every kind changes the pixels that its labels name and no other, whether the frame is large or small, and the labels do
// not depend on the pixels.
func TestPasteChangesWhatItLabels(t *testing.T) {
	for _, kind := range synth.Kinds() {
		for _, size := range [][2]int{{640, 360}, {16, 40}} {
			g := generator(t, nil, func(c *synth.Config) { c.Kinds = []synth.Kind{kind} })
			width, height := size[0], size[1]
			anomalous, changed := 0, 0
			for i := range 20 {
				before := streetPixels(width, height, i)
				rgb := bytes.Clone(before)
				labels, things := g.Paste(rgb, width, height, i)
				if blind, list := g.Paste(nil, width, height, i); !bytes.Equal(blind, labels) || !slices.Equal(list, things) {
					t.Fatalf("%s, picture %d: the labels depend on the pixels", kind, i)
				}
				for k, l := range labels {
					differs := !bytes.Equal(rgb[3*k:3*k+3], before[3*k:3*k+3])
					switch {
					case l == synth.Normal && differs:
						t.Fatalf("%s, picture %d: pixel %d is normal and changed", kind, i, k)
					case l == synth.Anomalous:
						anomalous++
						if differs {
							changed++
						}
					case l != synth.Normal && l != synth.Blended:
						t.Fatalf("%s: label %d", kind, l)
					}
				}
				if len(things) < 1 || len(things) > 3 {
					t.Errorf("%s: %d things", kind, len(things))
				}
				for _, x := range things {
					if long := max(x.Width, x.Height); x.Kind != kind || x.X < 0 || x.Y < 0 || x.X+x.Width > width || x.Y+x.Height > height ||
						long > 2*min(width, height)/5+2 {
						t.Errorf("%s in %dx%d: %+v", kind, width, height, x)
					}
				}
			}
			if anomalous < 20*4 || float64(changed) < 0.8*float64(anomalous) {
				t.Errorf("%s in %dx%d: %d anomalous pixels, of which %d changed", kind, width, height, anomalous, changed)
			}
		}
	}
}

// The sizes spread evenly over the logarithm of their range: as many below its geometric mean as above.
func TestSizesSpread(t *testing.T) {
	g := generator(t, nil, func(c *synth.Config) { c.MinSize, c.MaxSize = 10, 160 })
	small, n := 0, 0
	kinds := map[synth.Kind]int{}
	for i := range 400 {
		_, things := g.Paste(nil, 800, 600, i)
		for _, x := range things {
			long := max(x.Width, x.Height)
			if long < 8 || long > 162 {
				t.Fatalf("longer side of %d pixels", long)
			}
			if long < 40 {
				small++
			}
			n++
			kinds[x.Kind]++
		}
	}
	share := float64(small) / float64(n)
	if math.Abs(share-0.5) > 0.07 { // four standard deviations of 800 draws
		t.Errorf("%.2f of the things are below the geometric mean", share)
	}
	for k, m := range kinds {
		want := 0.125
		if k == synth.KindObject {
			want = 0.5
		}
		if math.Abs(float64(m)/float64(n)-want) > 0.07 {
			t.Errorf("%d of %d things are of kind %s, want a share of %v", m, n, k, want)
		}
	}
}

// golden describes what one seed makes of one picture. Pixels are compared by their mean: a processor may round a sum in
// another way.
type golden struct {
	Things    []synth.Thing
	Anomalous int
	Blended   int
	Mean      float64
}

func TestGolden(t *testing.T) {
	g := generator(t, nil, func(c *synth.Config) { c.Seed = 42 })
	var got []golden
	for i := range 6 {
		rgb := streetPixels(320, 240, i)
		labels, things := g.Paste(rgb, 320, 240, i)
		one := golden{Things: things}
		for k, l := range labels {
			switch l {
			case synth.Anomalous:
				one.Anomalous++
			case synth.Blended:
				one.Blended++
			}
			one.Mean += float64(rgb[3*k+1]) / float64(len(labels))
		}
		got = append(got, one)
	}
	const path = "testdata/pasted.golden"
	if *update {
		raw, err := json.MarshalIndent(got, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want []golden
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 0.05)); diff != "" {
		t.Error(diff)
	}
}

func TestConfig(t *testing.T) {
	for want, change := range map[string]func(*synth.Config){
		"synth.kinds: got none, want at least one":                        func(c *synth.Config) { c.Kinds = nil },
		`synth.kinds: got "cat", want of object texture blur noise scale`: func(c *synth.Config) { c.Kinds = []synth.Kind{"cat"} },
		"synth.min_size: got 3, want 4 to 4096":                           func(c *synth.Config) { c.MinSize = 3 },
		"synth.max_size: got 9, want min_size to 4096":                    func(c *synth.Config) { c.MaxSize = 9 },
		"synth.most: got 0, want 1 to 100":                                func(c *synth.Config) { c.Most = 0 },
	} {
		cfg := synth.DefaultConfig()
		change(&cfg)
		if _, err := synth.New(cfg, nil); err == nil || strings.TrimSpace(err.Error()) != want {
			t.Errorf("New() = %v, want %q", err, want)
		}
	}
	if labels, things := generator(t, nil, func(*synth.Config) {}).Paste(nil, 15, 100, 1); len(things) != 0 || slices.Max(labels) != 0 {
		t.Errorf("a picture of 15 pixels got %v", things)
	}
}
