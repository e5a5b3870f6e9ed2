package parity_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/oodcast/oodcast/detector/ort"
	"github.com/oodcast/oodcast/models"
	"github.com/oodcast/oodcast/models/checkpoint"
)

// bar is the largest accepted difference, as a share of the largest value of a tensor.
const bar = 1e-4

// oracleCase is one network of an oracle.
type oracleCase struct {
	Network string   `json:"network"`
	Oracle  string   `json:"oracle"`
	Weights string   `json:"weights"`
	Import  []string `json:"import"`

	dir      string
	expected checkpoint.Tensors
	worst    difference
	sizes    []string
}

// difference is that of a tensor.
type difference struct {
	tensor string
	share  float64
}

// TestParity compares every case in the folder OODCAST_PARITY and prints the table.
func TestParity(t *testing.T) {
	dir := os.Getenv("OODCAST_PARITY")
	if dir == "" {
		t.Skip("make parity runs the oracles, in a Python environment of its own")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "case.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("%s holds no case.json: %v", dir, err)
	}
	program := build(t)
	var cases []*oracleCase
	for _, file := range found {
		c := readCase(t, file)
		cases = append(cases, c)
		t.Run(c.Network, func(t *testing.T) { c.compare(t, program) })
	}
	table(cases)
}

// build makes the program, for its imports are under test.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "oodcast")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/oodcast/oodcast/cmd/oodcast")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func readCase(t *testing.T, file string) *oracleCase {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &oracleCase{dir: filepath.Dir(file)}
	if err := json.Unmarshal(raw, c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if c.expected, _, err = checkpoint.ReadSafetensors(filepath.Join(c.dir, "expected.safetensors")); err != nil {
		t.Fatal(err)
	}
	return c
}

// table prints one row for each network.
func table(cases []*oracleCase) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "network\toracle\tweights\tpictures\ttensors\tlargest difference\tof")
	for _, c := range cases {
		if len(c.sizes) == 0 {
			continue // not chosen with -run
		}
		verdict := fmt.Sprintf("%.1e", c.worst.share)
		if !(c.worst.share <= bar) {
			verdict += " MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", c.Network, c.Oracle, c.Weights, strings.Join(c.sizes, " "), len(c.expected),
			verdict, c.worst.tensor)
	}
	w.Flush()
}

// compare imports the network with each list of features, and compares what its encoder and its denoiser compute.
func (c *oracleCase) compare(t *testing.T, program string) {
	bundles := map[string]*models.Bundle{}
	for _, name := range c.expected.Names() {
		pic, output, _ := strings.Cut(name, "/")
		output, taps, _ := strings.Cut(output, " ")
		if pic == "denoiser" || output == "noise" || output == "moments" {
			continue
		}
		if !slices.Contains(c.sizes, pic) {
			c.sizes = append(c.sizes, pic)
		}
		if bundles[taps] == nil {
			bundles[taps] = c.imported(t, program, pic, taps)
		}
	}
	for taps, b := range bundles {
		model, err := b.Encoder()
		if err != nil {
			t.Fatal(err)
		}
		if err := (ort.Runner{}).Run(model, func(encode models.EncodeFunc) error { return c.encode(t, b, taps, encode) }); err != nil {
			t.Error(err)
		}
	}
	if c.expected["denoiser/features"] != nil {
		c.denoise(t, bundles[""])
	}
}

// imported runs `oodcast models import` as a user would.
func (c *oracleCase) imported(t *testing.T, program, pic, taps string) *models.Bundle {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bundle")
	_, _, size := pictureSize(t, pic)
	args := slices.Concat([]string{"models", "import"}, c.Import, []string{"--out", out, "--size", fmt.Sprintf("%dx%d", size.Width, size.Height)})
	if taps != "" {
		args = append(args, "--features", taps)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("oodcast %s: %v: %s", strings.Join(args, " "), err, out)
	}
	b, err := models.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode compares the tensors of one import.
func (c *oracleCase) encode(t *testing.T, b *models.Bundle, taps string, encode models.EncodeFunc) error {
	t.Helper()
	for _, pic := range c.sizes {
		w, h, size := pictureSize(t, pic)
		out, err := encode(models.GoldenImage(w, h), w, h, size)
		if err != nil {
			return err
		}
		for _, name := range c.expected.Names() {
			of, output, _ := strings.Cut(name, "/")
			output, list, _ := strings.Cut(output, " ")
			switch {
			case of != pic || list != taps || output == "noise" || output == "moments":
			case output == "map":
				c.check(t, name, c.scoreMap(t, b, pic, out))
			default:
				c.check(t, name, out[output].Data)
			}
		}
	}
	return nil
}

// pictureSize reads WxH or WxH:wxh: the picture and the working size.
func pictureSize(t *testing.T, pic string) (w, h int, size models.Size) {
	t.Helper()
	whole, scaled, ok := strings.Cut(pic, ":")
	if _, err := fmt.Sscanf(whole, "%dx%d", &w, &h); err != nil {
		t.Fatalf("picture %q: %v", pic, err)
	}
	if size = (models.Size{Width: w, Height: h}); !ok {
		return w, h, size
	}
	if _, err := fmt.Sscanf(scaled, "%dx%d", &size.Width, &size.Height); err != nil {
		t.Fatalf("picture %q: %v", pic, err)
	}
	return w, h, size
}

// check compares a tensor with the expected one.
func (c *oracleCase) check(t *testing.T, name string, got []float32) {
	t.Helper()
	want := c.expected[name].Data
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		c.worst = difference{name, math.Inf(1)}
		return
	}
	worst, top := 0.0, 0.0
	for i := range got {
		if d := math.Abs(float64(got[i]) - float64(want[i])); !(d <= worst) {
			worst = d
		}
		top = max(top, math.Abs(float64(want[i])))
	}
	share := worst / top
	if !(share <= bar) {
		t.Errorf("%s: differs by %.2g of %.3g", name, worst, top)
	}
	if !(share <= c.worst.share) {
		c.worst = difference{name, share}
	}
}
